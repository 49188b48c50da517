//! The site: show, apply, revisions.

use super::nodes::read_json;
use super::views::{Applied, RevisionList, RevisionView, SiteFiles, SiteView};
use super::{Answer, Api, store_problem};
use crate::listen::LocalPeer;
use crate::sites::ApplyError;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use inventory::problem::{Fault, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

/// Shows the site in force.
#[utoipa::path(get, path = "/api/v1/site", responses((status = 200, body = SiteView), (status = 404, description = "no site was applied yet")))]
pub(super) async fn show(State(api): State<Api>) -> Answer<SiteView> {
    match api.sites.current().await {
        Some(revision) => Ok(Json(SiteView { revision: RevisionView::from(&revision), files: revision.files })),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "no_site", "No site was applied yet", "Run `overture apply FOLDER`.")),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ApplyQuery {
    /// Say what would change, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Applies a site: checked whole, then kept as a revision, then in force. The same files again change nothing.
#[utoipa::path(put, path = "/api/v1/site", params(ApplyQuery), request_body = SiteFiles,
    responses((status = 201, body = Applied, description = "a new revision is in force"), (status = 200, body = Applied, description = "nothing changed"), (status = 409, description = "this machine cannot serve it"), (status = 422, description = "mistakes, all of them in `errors`")))]
pub(super) async fn apply(
    State(api): State<Api>,
    Query(query): Query<ApplyQuery>,
    peer: Option<Extension<LocalPeer>>,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    let SiteFiles { files } = read_json(&body)?;
    let by = peer.map_or("unknown".to_owned(), |Extension(peer)| format!("uid {}", peer.uid));
    let outcome = api.sites.apply(files, by, query.dry_run, &*api.serve).await.map_err(|error| match &error {
        ApplyError::Wrong(complaints) => complaints.located().into_iter().fold(
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_site",
                "The site has mistakes; nothing was changed",
                crate::count(complaints.len(), "mistake"),
            ),
            |problem, mistake| {
                problem.with_fault(Fault {
                    detail: mistake.message,
                    file: mistake.file,
                    line: mistake.line,
                    column: mistake.column,
                    key: None,
                })
            },
        ),
        ApplyError::Unservable(source) => Problem::new(
            StatusCode::CONFLICT,
            "unservable_site",
            "This machine cannot serve the site; the one before stays in force",
            crate::chain(source.as_ref()),
        ),
        ApplyError::Store(error) => store_problem(error),
    })?;
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

/// Lists the last revisions of the site, newest first.
#[utoipa::path(get, path = "/api/v1/site/revisions", responses((status = 200, body = RevisionList)))]
pub(super) async fn revisions(State(api): State<Api>) -> Answer<RevisionList> {
    let revisions = api.sites.revisions().await.map_err(|error| store_problem(&error))?;
    Ok(Json(RevisionList { items: revisions.iter().map(RevisionView::from).collect() }))
}
