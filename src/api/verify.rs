//! The site compared with what was seen.

use super::nodes::find;
use super::views::{DiscrepancyView, ProblemView, Verification, snake};
use super::{Answer, Api, store_problem};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Json;
use domain::NodeId;
use domain::document::Gap;
use domain::history::HardwareTest;
use domain::node::Node;
use domain::place::Layout;
use domain::verify::{Difference, Hall, Seen, Severity};
use inventory::problem::Problem;
use inventory::{HistoryError, Moment};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The most nodes that are named.
const MOST_NAMED: usize = 1000;
/// Of how many nodes the documents are read for the reasons that stand there.
const MOST_REASONS: usize = 1000;

/// Compares nodes with the site. Each difference is a sentence that a technician can act on.
#[utoipa::path(get, path = "/api/v1/verification", operation_id = "verify", tag = "nodes",
    params(("node" = Option<Vec<String>>, Query, description = "what names a node, as often as there are nodes to compare; all nodes, and those declared that never reported, if absent")),
    responses(
        (status = 200, description = "what differs", body = Verification),
        (status = 400, description = "the query is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn verify(State(api): State<Api>, RawQuery(query): RawQuery) -> Answer<Verification> {
    let mut asked = asked_for(&api, query).await?;
    asked.tests = tests(&api, &asked).await?;
    let count = asked.compared().len() + asked.absent.len();
    let (mut asked, mut found) = compare(asked).await;
    asked.gaps = gaps(&api, &found).await?;
    if !asked.gaps.is_empty() {
        (_, found) = compare(asked).await;
    }
    Ok(Json(Verification { nodes: count, items: found.into_iter().map(DiscrepancyView::from).collect() }))
}

/// What the query asks for, found beside the threads that serve everything else: a piece of an id is looked for among all.
async fn asked_for(api: &Api, query: Option<String>) -> Result<Asked, Problem> {
    let api = api.clone();
    let finding = tokio::task::spawn_blocking(move || Asked::of(&api, query.as_deref().unwrap_or_default()));
    finding.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
}

/// What is compared with what.
struct Asked {
    layout: Arc<Layout>,
    /// All nodes: it is told whose cable is where.
    nodes: Vec<Arc<Node>>,
    /// Those that were asked for; none for all.
    named: Vec<Arc<Node>>,
    /// Names that were asked for, of machines that were declared and never reported.
    absent: BTreeSet<String>,
    tests: HashMap<NodeId, Vec<HardwareTest>>,
    gaps: HashMap<NodeId, Vec<Gap>>,
}

impl Asked {
    /// What the query asks for: `node=`, as often as there are nodes to compare.
    fn of(api: &Api, query: &str) -> Result<Self, Problem> {
        let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad_query", "Wrong query", detail.to_owned());
        let (layout, nodes) = (api.layout(), api.inventory.all_nodes());
        let site = layout.clone();
        let declared: HashSet<&str> = site.site().nodes.iter().map(|declared| declared.name.as_str()).collect();
        let mut asked = Self { layout, nodes, named: vec![], absent: BTreeSet::new(), tests: HashMap::new(), gaps: HashMap::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name != "node" {
                return Err(bad("the query cannot be read: there is only `node`, as often as wanted"));
            }
            if asked.named.len() + asked.absent.len() == MOST_NAMED {
                return Err(bad("at most 1000 nodes can be named: leave `node` out to compare all"));
            }
            let is_declared = declared.contains(&*value);
            // A name that the site declares is no piece of an id.
            if is_declared && !api.inventory.answers_to(&value) {
                asked.absent.insert(value.into_owned());
                continue;
            }
            match find(api, &value) {
                Ok(node) if asked.named.iter().all(|other| other.id != node.id) => asked.named.push(node),
                Ok(_) => {}
                Err(_) if is_declared => drop(asked.absent.insert(value.into_owned())),
                Err(problem) => return Err(problem),
            }
        }
        Ok(asked)
    }

    /// The nodes that are compared.
    fn compared(&self) -> &[Arc<Node>] {
        if self.asks_for_all() { &self.nodes } else { &self.named }
    }

    fn asks_for_all(&self) -> bool {
        self.named.is_empty() && self.absent.is_empty()
    }

    fn differences(&self) -> Vec<Difference> {
        let seen = self.nodes.iter().map(|node| Seen {
            node,
            tests: self.tests.get(&node.id).map(Vec::as_slice),
            gaps: self.gaps.get(&node.id).map(Vec::as_slice).unwrap_or_default(),
        });
        let seen: Vec<_> = seen.collect();
        if self.asks_for_all() {
            return domain::verify::verify(&self.layout, &seen);
        }
        let hall = Hall::new(&self.layout, &seen);
        let absent = if self.absent.is_empty() { vec![] } else { domain::verify::verify(&self.layout, &seen) };
        let absent = absent.into_iter().filter(|difference| difference.node.is_none() && self.absent.contains(&difference.name));
        self.named.iter().flat_map(|node| hall.of(node.id)).chain(absent).collect()
    }
}

/// Compares beside the threads that serve everything else.
async fn compare(asked: Asked) -> (Asked, Vec<Difference>) {
    let comparing = tokio::task::spawn_blocking(move || {
        let found = asked.differences();
        (asked, found)
    });
    comparing.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
}

/// The tests of the nodes whose profile demands some; the others are not asked for theirs.
async fn tests(api: &Api, asked: &Asked) -> Result<HashMap<NodeId, Vec<HardwareTest>>, Problem> {
    let mut tests = HashMap::new();
    for node in asked.compared() {
        let demands = asked.layout.declaration(&node.identity).and_then(|declared| asked.layout.site().profile_of(declared));
        if demands.is_some_and(|(_, profile)| !profile.tests.is_empty()) {
            let kept = api.inventory.tests(node.id, 20).await.map_err(|error| store_problem(&error))?;
            tests.insert(node.id, kept.into_iter().map(|kept| kept.test).collect());
        }
    }
    Ok(tests)
}

/// Why reports do not say what could not be checked.
async fn gaps(api: &Api, found: &[Difference]) -> Result<HashMap<NodeId, Vec<Gap>>, Problem> {
    let unchecked = found.iter().filter(|difference| difference.severity == Severity::Unchecked).filter_map(|difference| difference.node);
    let unchecked: BTreeSet<_> = unchecked.collect();
    let mut gaps = HashMap::new();
    for id in unchecked.into_iter().take(MOST_REASONS) {
        match api.inventory.document(id, Moment::Now).await {
            Ok(past) if !past.document.gaps.is_empty() => drop(gaps.insert(id, past.document.gaps)),
            Err(HistoryError::Store(error)) => return Err(store_problem(&error)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(gaps)
}

impl From<Difference> for DiscrepancyView {
    fn from(difference: Difference) -> Self {
        Self {
            node: difference.name,
            id: difference.node.map(|id| id.to_string()),
            severity: snake(difference.severity),
            kind: snake(difference.kind),
            path: difference.path,
            sentence: difference.sentence,
        }
    }
}
