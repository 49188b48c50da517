//! Tests of a node's hardware.

use super::extract::{Asked, Segment, Sent};
use super::nodes::find;
use super::views::{NewTest, ProblemView, TestList, TestView};
use super::{Answer, Api, limit, store_problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use domain::OrderId;
use inventory::OrderError;
use inventory::problem::Problem;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// The most tests of one answer.
const MOST_TESTS: usize = 100;

/// Has the agent of a node test its hardware. Disks are only read.
///
/// Watch `finished` and `results` of the test.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/tests", operation_id = "test_node", tag = "nodes",
    params(
        ("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"),
        ("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    request_body = NewTest,
    responses(
        (status = 202, description = "the test waits for the agent", body = TestView),
        (status = 400, description = "not JSON", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "its agent cannot test, or several nodes fit", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "nothing to test, or for too long", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn order(State(api): State<Api>, Segment(node): Segment, Sent(test): Sent<NewTest>) -> Result<Response, Problem> {
    api.may_act()?;
    let node = find(&api, &node)?;
    let id = OrderId(Uuid::now_v7());
    api.inventory.order_test(node.id, test.into(), id).await.map_err(|error| refused(&error))?;
    let tests = api.inventory.tests(node.id, MOST_TESTS).await.map_err(|error| store_problem(&error))?;
    match tests.iter().find(|test| test.test.id == id) {
        Some(test) => Ok((StatusCode::ACCEPTED, Json(TestView::from(test))).into_response()),
        None => Err(Problem::internal("the test that was just ordered is not kept")),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TestQuery {
    /// How many tests at most, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// Lists the tests of a node's hardware, newest first.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/tests", operation_id = "list_tests", tag = "nodes",
    params(("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"), TestQuery),
    responses(
        (status = 200, description = "its tests with their results", body = TestList),
        (status = 400, description = "`limit` is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): State<Api>, Segment(node): Segment, Asked(query): Asked<TestQuery>) -> Answer<TestList> {
    let most = limit("limit", query.limit.unwrap_or(20), MOST_TESTS)?;
    let node = find(&api, &node)?;
    let tests = api.inventory.tests(node.id, most).await.map_err(|error| store_problem(&error))?;
    Ok(Json(TestList { items: tests.iter().map(TestView::from).collect() }))
}

pub(super) fn refused(error: &OrderError) -> Problem {
    let said = error.to_string();
    match error {
        OrderError::Store(error) => store_problem(error),
        OrderError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", said),
        OrderError::CannotTest { .. } => Problem::new(StatusCode::CONFLICT, "cannot_test", "The node cannot test", said),
        OrderError::NothingToTest | OrderError::TestTooLong { .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_test", "Not a test", said)
        }
    }
}
