//! What each refusal looks like to a program: its status and kind. The sentences are the errors' own.
//!
//! To an agent 401, 403 and 409 say that its ticket or its boot is spent and only a new boot helps; 404 that it must
//! report first; 400 and 422 that what it sent is refused; 5xx, 408 and 413 mean what they always do.

use crate::accept::ReportError;
use crate::agents::{NotItsNode, TicketError};
use crate::body::BodyError;
use crate::find::FindError;
use crate::history::HistoryError;
use crate::import::ImportError;
use crate::labels::LabelError;
use crate::operate::{OrderError, RenameError};
use crate::orders::ProgressError;
use crate::problem::{Fault, Problem};
use crate::translate::ReadError;
use axum::http::{HeaderValue, StatusCode, header};
use domain::NodeId;
use domain::ports::{ClaimError, StoreError};
use domain::ticket::ClaimRefused;
use domain::timeline::printable;

/// When to try again after the store failed, seconds.
const RETRY_AFTER: u32 = 5;
/// When to try again after there was no room for another node, seconds: a person has to make some.
const RETRY_WHEN_FULL: u32 = 60;

impl Problem {
    /// Something in the service is wired or stored wrongly; `detail` says what, the log says why.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed", detail)
    }

    /// There is no room for the request now.
    pub(crate) fn busy(why: &str) -> Self {
        let detail = format!("{why}: send it again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once", detail).retry_after(RETRY_AFTER)
    }

    /// The same with the nodes that it may be about.
    fn with_candidates(self, candidates: &[NodeId]) -> Self {
        candidates.iter().take(10).fold(self, |problem, id| {
            problem.with_fault(Fault { detail: format!("it may be node {id}"), key: Some(id.to_string()), ..Fault::default() })
        })
    }

    /// A text that should be JSON of a certain shape is not.
    pub fn malformed(error: &serde_json::Error) -> Self {
        let detail = printable(&error.to_string(), 300);
        let fault = Fault { detail: detail.clone(), line: Some(error.line()), column: Some(error.column()), ..Fault::default() };
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The body cannot be read", detail).with_fault(fault)
    }

    /// A parameter of the query is wrong.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let fault = Fault { detail: detail.clone(), key: Some(name.to_owned()), ..Fault::default() };
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", "A parameter is wrong", detail).with_fault(fault)
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Unavailable { .. } | StoreError::Busy { .. } => {
                let detail = format!("{detail}; nothing was changed, try again");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "The store is unavailable", detail).retry_after(RETRY_AFTER)
            }
            StoreError::Corrupt { .. } => Self::internal(detail),
            StoreError::NameTaken { .. } => Self::new(StatusCode::CONFLICT, "name_taken", "The name is taken", detail),
            StoreError::Changed => Self::new(StatusCode::CONFLICT, "changed", "It was changed meanwhile", detail),
        }
    }
}

impl From<&TicketError> for Problem {
    fn from(error: &TicketError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            TicketError::Missing => {
                // RFC 9110, 15.5.2: a 401 names the scheme that it wants.
                let scheme = HeaderValue::from_static("Overture-Ticket");
                new(StatusCode::UNAUTHORIZED, "ticket_missing", "A ticket is needed").with_header(header::WWW_AUTHENTICATE, scheme)
            }
            TicketError::NotATicket => new(StatusCode::BAD_REQUEST, "ticket_malformed", "This is not a ticket"),
            TicketError::NotIpv4(_) => new(StatusCode::FORBIDDEN, "ticket_refused", "The ticket is refused"),
            TicketError::Claim(ClaimError::Refused(ClaimRefused::SecondKey)) => {
                new(StatusCode::CONFLICT, "second_key", "Another key used this ticket")
            }
            TicketError::Claim(ClaimError::Refused(_)) => new(StatusCode::FORBIDDEN, "ticket_refused", "The ticket is refused"),
            TicketError::Claim(ClaimError::Store(error)) => error.into(),
        }
    }
}

impl From<&NotItsNode> for Problem {
    fn from(error: &NotItsNode) -> Self {
        match error {
            NotItsNode::Unknown => Self::new(StatusCode::NOT_FOUND, "unknown_node", "Unknown node", error.to_string()),
            NotItsNode::Superseded { .. } => {
                Self::new(StatusCode::CONFLICT, "superseded", "Another boot has reported since", error.to_string())
            }
        }
    }
}

impl From<&ReadError> for Problem {
    fn from(error: &ReadError) -> Self {
        let new = |kind, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, error.to_string());
        match error {
            ReadError::Malformed { source } => Self::malformed(source),
            ReadError::Version { .. } => new("unsupported_version", "Unsupported version of a report"),
            ReadError::TooMany { .. } => new("too_many_items", "More than one machine has"),
            ReadError::TooLong { .. } => new("too_long", "The document would become too long"),
        }
    }
}

impl From<&ReportError> for Problem {
    fn from(error: &ReportError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            ReportError::Read(error) => error.into(),
            ReportError::OtherBoot { .. } => new(StatusCode::BAD_REQUEST, "other_boot", "The report is of another boot"),
            ReportError::Superseded(why) => why.into(),
            ReportError::NothingToAmend { .. } => new(StatusCode::CONFLICT, "nothing_to_amend", "There is nothing to amend"),
            ReportError::Nameless => new(StatusCode::UNPROCESSABLE_ENTITY, "nameless", "Nothing identifies this machine"),
            ReportError::Ambiguous { candidates, .. } => {
                new(StatusCode::UNPROCESSABLE_ENTITY, "ambiguous", "It cannot be told which node this is").with_candidates(candidates)
            }
            // RFC 4918, 11.5: a condition that passes, unlike what is wrong with the report.
            ReportError::Full { .. } => {
                new(StatusCode::INSUFFICIENT_STORAGE, "inventory_full", "The inventory is full").retry_after(RETRY_WHEN_FULL)
            }
            ReportError::Store(error) => error.into(),
        }
    }
}

impl From<&ProgressError> for Problem {
    fn from(error: &ProgressError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            ProgressError::NotItsNode(why) => why.into(),
            ProgressError::OtherOrder { .. } => new(StatusCode::UNPROCESSABLE_ENTITY, "other_order", "Not the order of this node"),
            ProgressError::UnknownState { .. } => new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_state", "Unknown state of an order"),
            ProgressError::UnknownResult { .. } => new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_result", "Unknown result of a test"),
            ProgressError::TooManyResults { .. } => new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_items", "More than one machine has"),
            ProgressError::Store(error) => error.into(),
        }
    }
}

impl From<&BodyError> for Problem {
    fn from(error: &BodyError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            BodyError::TooLarge { .. } => new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            BodyError::TooSlow => new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body came too slowly"),
            BodyError::BrokenOff => new(StatusCode::BAD_REQUEST, "broken_off", "The body broke off"),
        }
    }
}

impl From<&FindError> for Problem {
    fn from(error: &FindError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            FindError::NotFound { .. } => new(StatusCode::NOT_FOUND, "unknown_node", "Unknown node"),
            FindError::Ambiguous { candidates, .. } => {
                let problem = new(StatusCode::CONFLICT, "ambiguous", "Several nodes fit");
                candidates.iter().fold(problem, |problem, (id, label)| {
                    problem.with_fault(Fault { detail: printable(label, 80), key: Some(id.to_string()), ..Fault::default() })
                })
            }
        }
    }
}

impl From<&RenameError> for Problem {
    fn from(error: &RenameError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            RenameError::NotALabel { rule } => new(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", "The name cannot be used")
                .with_fault(Fault { detail: rule.clone(), key: Some("name".into()), ..Fault::default() }),
            RenameError::NameTaken { .. } => new(StatusCode::CONFLICT, "name_taken", "The name is taken"),
            RenameError::NotFound { .. } => new(StatusCode::NOT_FOUND, "unknown_node", "Unknown node"),
            RenameError::Changed { .. } => new(StatusCode::PRECONDITION_FAILED, "changed", "It was changed meanwhile"),
            RenameError::Store(error) => error.into(),
        }
    }
}

impl From<&OrderError> for Problem {
    fn from(error: &OrderError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            OrderError::NotFound { .. } => new(StatusCode::NOT_FOUND, "unknown_node", "Unknown node"),
            OrderError::NothingToTest | OrderError::TestTooLong { .. } => {
                new(StatusCode::UNPROCESSABLE_ENTITY, "bad_test", "The test cannot be ordered")
            }
            OrderError::CannotTest { .. } => new(StatusCode::CONFLICT, "cannot_test", "The node cannot test its hardware now"),
            OrderError::Store(error) => error.into(),
        }
    }
}

impl From<&ImportError> for Problem {
    fn from(error: &ImportError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            ImportError::Read(error) => error.into(),
            ImportError::Amends => new(StatusCode::UNPROCESSABLE_ENTITY, "amends", "This is no whole report"),
            ImportError::Nameless => new(StatusCode::UNPROCESSABLE_ENTITY, "nameless", "Nothing identifies this machine"),
            ImportError::Ambiguous { candidates, .. } => {
                new(StatusCode::UNPROCESSABLE_ENTITY, "ambiguous", "It cannot be told which node this is").with_candidates(candidates)
            }
            ImportError::Full { .. } => {
                new(StatusCode::INSUFFICIENT_STORAGE, "inventory_full", "The inventory is full").retry_after(RETRY_WHEN_FULL)
            }
            ImportError::Store(error) => error.into(),
        }
    }
}

impl From<&LabelError> for Problem {
    fn from(error: &LabelError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            LabelError::NotFound { .. } => new(StatusCode::NOT_FOUND, "unknown_node", "Unknown node"),
            LabelError::Changed { .. } => new(StatusCode::PRECONDITION_FAILED, "changed", "It was changed meanwhile"),
            LabelError::Store(error) => error.into(),
            _ => {
                let fault = Fault { detail: error.to_string(), key: error.field().map(str::to_owned), ..Fault::default() };
                new(StatusCode::UNPROCESSABLE_ENTITY, "bad_label", "The node cannot be labelled so").with_fault(fault)
            }
        }
    }
}

impl From<&HistoryError> for Problem {
    fn from(error: &HistoryError) -> Self {
        let new = |status, kind, title| Self::new(status, kind, title, error.to_string());
        match error {
            HistoryError::NotFound { .. } => new(StatusCode::NOT_FOUND, "unknown_node", "Unknown node"),
            HistoryError::NotKept { .. } => new(StatusCode::NOT_FOUND, "unknown_report", "The report is not kept"),
            HistoryError::NoDocument { .. } => new(StatusCode::NOT_FOUND, "no_document", "No document is kept"),
            HistoryError::Store(error) => error.into(),
        }
    }
}
