//! The site: show, apply, revisions.

use super::extract::{Asked, Sent, too_large};
use super::views::{Applied, ProblemView, RevisionList, RevisionView, SiteFiles, SiteView};
use super::{Answer, Api, by, store_problem};
use crate::files::Complaints;
use crate::listen::LocalPeer;
use crate::sites::ApplyError;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use inventory::problem::{Fault, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

/// Shows the site in force.
#[utoipa::path(get, path = "/api/v1/site", operation_id = "show_site", tag = "site",
    responses(
        (status = 200, description = "the revision in force, with its files", body = SiteView),
        (status = 404, description = "no site was applied yet", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>) -> Answer<SiteView> {
    match api.sites.current().await {
        Some(revision) => Ok(Json(SiteView { revision: RevisionView::from(&revision), files: revision.files })),
        None => {
            let detail = "no site was applied yet, so nothing is answered: run `overture apply FOLDER`";
            Err(Problem::new(StatusCode::NOT_FOUND, "no_site", "No site", detail))
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplyQuery {
    /// Say what would change, and change nothing; false if absent.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Applies a site: checked whole, then kept as a revision, then in force.
///
/// The same files again change nothing.
#[utoipa::path(put, path = "/api/v1/site", operation_id = "apply_site", tag = "site",
    params(ApplyQuery, ("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    request_body = SiteFiles,
    responses(
        (status = 201, description = "a new revision is in force", body = Applied),
        (status = 200, description = "nothing was changed", body = Applied),
        (status = 400, description = "not JSON, or the query is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "this machine cannot serve it", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "too large", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "mistakes, each in `errors`", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn apply(
    State(api): State<Api>,
    Asked(query): Asked<ApplyQuery>,
    peer: Option<Extension<LocalPeer>>,
    Sent(SiteFiles { files }): Sent<SiteFiles>,
) -> Result<Response, Problem> {
    if files.values().map(|text| text.len() as u64).sum::<u64>() > crate::site::MOST_BYTES {
        return Err(too_large());
    }
    api.may_act()?;
    let outcome = api.sites.apply(files, by(peer), query.dry_run, &*api.serve).await.map_err(|error| refused(&error))?;
    if outcome.changed
        && let Some(revision) = &outcome.revision
        && let Err(error) = api.inventory.apply_site(&revision.site).await
    {
        tracing::error!("nodes could not be given the names that the site declares: {}", crate::chain(&error));
    }
    let status = if outcome.changed { StatusCode::CREATED } else { StatusCode::OK };
    let applied =
        Applied { revision: outcome.revision.as_ref().map(RevisionView::from), changed: outcome.changed, changes: outcome.changes };
    Ok((status, Json(applied)).into_response())
}

fn refused(error: &ApplyError) -> Problem {
    match error {
        ApplyError::Wrong(complaints) => wrong(complaints),
        ApplyError::Unservable(_) => {
            let detail = format!("{}. Nothing was changed", crate::chain(error));
            Problem::new(StatusCode::CONFLICT, "unservable_site", "This machine cannot serve the site", detail)
        }
        ApplyError::Store(error) => store_problem(error),
    }
}

fn wrong(complaints: &Complaints) -> Problem {
    let detail = format!("the site has {}; nothing was changed", crate::count(complaints.len(), "mistake"));
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_site", "Mistakes in the site", detail);
    complaints.located().into_iter().fold(problem, |problem, mistake| {
        problem.with_fault(Fault { detail: mistake.message, file: mistake.file, line: mistake.line, column: mistake.column, key: None })
    })
}

/// Lists the revisions of the site that are kept, the last hundred, newest first.
#[utoipa::path(get, path = "/api/v1/site/revisions", operation_id = "list_revisions", tag = "site",
    responses((status = 200, description = "the revisions, without their files", body = RevisionList)))]
pub(super) async fn revisions(State(api): State<Api>) -> Answer<RevisionList> {
    let revisions = api.sites.revisions().await.map_err(|error| store_problem(&error))?;
    Ok(Json(RevisionList { items: revisions.iter().map(RevisionView::from).collect() }))
}
