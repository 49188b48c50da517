//! Why a machine got what it got, and who holds which address.

use super::views::{BootView, Explanation, LeaseList, LeaseView, NodeView};
use super::{Answer, Api, store_problem};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use domain::MacAddr;
use inventory::FindError;
use inventory::problem::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ExplainQuery {
    /// How many boots at most, 1 to 20; 1 if absent.
    boots: Option<usize>,
}

/// Explains the last boots of a machine, known to the inventory or not.
#[utoipa::path(get, path = "/api/v1/explain/{machine}", params(("machine" = String, Path, description = "MAC address, or name, id or serial number of a node"), ExplainQuery),
    responses((status = 200, body = Explanation), (status = 404, description = "nothing was ever heard of it")))]
pub(super) async fn explain(State(api): State<Api>, Path(machine): Path<String>, Query(query): Query<ExplainQuery>) -> Answer<Explanation> {
    let most = query.boots.unwrap_or(1).clamp(1, 20);
    let node = match api.inventory.find(&machine).await {
        Ok(node) => Some(node),
        Err(FindError::Store(error)) => return Err(store_problem(&error)),
        Err(error @ FindError::Ambiguous { .. }) => {
            return Err(Problem::new(StatusCode::CONFLICT, "ambiguous_node", "Several nodes fit", error.to_string()));
        }
        Err(FindError::NotFound { .. }) => None,
    };
    let asked: Option<MacAddr> = machine.parse().ok();
    let macs: Vec<MacAddr> = match (asked, &node) {
        (Some(mac), _) => vec![mac],
        (None, Some(node)) => node.identity.macs.iter().copied().collect(),
        (None, None) => {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "no_such_machine",
                "Nothing is known of this machine",
                format!("`{}` is neither a MAC address nor a node: see `overture nodes list`", domain::timeline::printable(&machine, 60)),
            ));
        }
    };
    let timelines = api.store.timelines(&macs, most).await.map_err(|error| store_problem(&error))?;
    if timelines.is_empty() && node.is_none() {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "never_heard",
            "No packet of this machine has reached this service",
            format!(
                "Nothing was heard from {machine}. Check that it is switched on and starts from the network, that its cable and VLAN lead to an interface of the site (`overture site show`), and that the network does not say unknown = \"ignore\" for it."
            ),
        ));
    }
    Ok(Json(Explanation {
        machine,
        node: node.as_ref().map(NodeView::from),
        macs: macs.iter().map(ToString::to_string).collect(),
        boots: timelines.iter().map(BootView::from).collect(),
    }))
}

/// Lists every lease.
#[utoipa::path(get, path = "/api/v1/leases", responses((status = 200, body = LeaseList)))]
pub(super) async fn leases(State(api): State<Api>) -> Json<LeaseList> {
    let now = api.clock.now();
    let mut leases: Vec<_> = api.leases.table().all().cloned().collect();
    leases.sort_by(|a, b| (&a.network, a.address).cmp(&(&b.network, b.address)));
    Json(LeaseList { items: leases.iter().map(|lease| LeaseView::of(lease, now)).collect() })
}
