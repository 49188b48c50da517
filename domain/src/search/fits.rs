//! Whether a node fits a query.
//!
//! Facts stand in documents, which cost a read each. So a node is judged in two steps: from its record alone, which may
//! leave the verdict open, and then, only where it is open, with its document.

use super::facts;
use super::fields::{Field, Kind};
use super::order::natural;
use super::query::{Expr, Group, Needle, Op, Query, Subject, Test, Wanted};
use super::record::{Case, Record, Value, Wording};
use crate::clock::Timestamp;
use serde_json::Value as Json;
use std::cmp::Ordering;

/// What is known of a node and a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Fits,
    /// It does not.
    FitsNot,
    /// Its document tells.
    AskDocument,
}

impl From<bool> for Verdict {
    fn from(fits: bool) -> Self {
        if fits { Self::Fits } else { Self::FitsNot }
    }
}

impl std::ops::Not for Verdict {
    type Output = Self;
    fn not(self) -> Self {
        match self {
            Self::Fits => Self::FitsNot,
            Self::FitsNot => Self::Fits,
            Self::AskDocument => Self::AskDocument,
        }
    }
}

/// What a document says, where it was read.
#[derive(Debug, Clone, Copy)]
pub enum Document<'a> {
    /// It was not read yet.
    Unread,
    /// Its facts; `null` for a node that has none.
    Facts(&'a Json),
}

impl Query {
    /// Whether a node fits, as far as that can be told from what is given. With facts it always can.
    pub fn judge(&self, record: &impl Record, document: Document<'_>, now: Timestamp) -> Verdict {
        match &self.wanted {
            None => Verdict::Fits,
            Some(expr) => Judge { record, document, now }.verdict(expr),
        }
    }
}

struct Judge<'a, R> {
    record: &'a R,
    document: Document<'a>,
    now: Timestamp,
}

impl<R: Record> Judge<'_, R> {
    fn verdict(&self, expr: &Expr) -> Verdict {
        match expr {
            Expr::All(parts) => decided_by(Verdict::FitsNot, parts.iter().map(|inner| self.verdict(inner))),
            Expr::Any(parts) => decided_by(Verdict::Fits, parts.iter().map(|inner| self.verdict(inner))),
            Expr::Not(inner) => !self.verdict(inner),
            Expr::Mentions(needle) => self.record.mentions(Wording(needle)).into(),
            Expr::Test(Subject::Field(field), test) => self.field_passes(*field, test, None).into(),
            Expr::Test(Subject::Facts(path), test) => match self.document {
                Document::Unread => Verdict::AskDocument,
                Document::Facts(facts) => facts::passes(facts, path, test).into(),
            },
            Expr::Part(Group::List(_), inner) if self.no_part_fits(inner) => Verdict::FitsNot,
            Expr::Part(Group::List(list), inner) => (0..self.record.parts(*list)).any(|part| self.part_fits(inner, part)).into(),
            Expr::Part(Group::Facts(path), inner) => match self.document {
                Document::Unread => Verdict::AskDocument,
                Document::Facts(facts) => facts::any_item(facts, path, &mut |item| item_fits(inner, item)).into(),
            },
        }
    }

    /// Whether the extremes alone already tell that no part can fit.
    fn no_part_fits(&self, expr: &Expr) -> bool {
        match expr {
            Expr::All(inner) => inner.iter().any(|inner| self.no_part_fits(inner)),
            Expr::Test(Subject::Field(field), Test::Is(op, Wanted::Number(wanted, _))) => {
                self.record.extremes(*field).and_then(|extremes| reaches(extremes, *op, *wanted)) == Some(false)
            }
            _ => false,
        }
    }

    /// One part of a list against what stands in the brackets.
    fn part_fits(&self, expr: &Expr, part: usize) -> bool {
        match expr {
            Expr::All(inner) => inner.iter().all(|inner| self.part_fits(inner, part)),
            Expr::Any(inner) => inner.iter().any(|inner| self.part_fits(inner, part)),
            Expr::Not(inner) => !self.part_fits(inner, part),
            Expr::Test(Subject::Field(field), test) => self.field_passes(*field, test, Some(part)),
            // The parser lets nothing else into these brackets.
            Expr::Test(Subject::Facts(_), _) | Expr::Mentions(_) | Expr::Part(..) => false,
        }
    }

    fn field_passes(&self, field: Field, test: &Test, part: Option<usize>) -> bool {
        let any = |op: Op, wanted: &Wanted| {
            let case = if op == Op::Exactly { Case::AsWritten } else { Case::Either };
            if let (Wanted::Text(needle), Kind::Text) = (wanted, field.described().kind) {
                // The address of what is compared with is another for each condition.
                let key = (std::ptr::from_ref(needle).addr(), case);
                return self.record.any_text(field, part, key, |text| text_compares(text, op, needle));
            }
            if let Wanted::Number(wanted, _) = wanted {
                let told = part.is_none().then(|| self.record.extremes(field).and_then(|extremes| reaches(extremes, op, *wanted)));
                if let Some(Some(told)) = told {
                    return told;
                }
                return self.record.any(field, part, case, |value| matches!(value, Value::Number(n) if satisfies(op, n.cmp(wanted))));
            }
            self.record.any(field, part, case, |value| compares(field, &value, op, wanted, self.now))
        };
        // What stands nowhere in a node need not be looked for in each of its disks.
        let nowhere = |needle| field.described().many && field.described().is_searched() && !self.record.mentions(Wording(needle));
        match test {
            Test::Is(op @ (Op::Contains | Op::Lacks), Wanted::Text(needle)) if nowhere(needle) => *op == Op::Lacks,
            Test::Is(Op::Differs, wanted) => !any(Op::Equal, wanted),
            Test::Is(Op::Lacks, wanted) => !any(Op::Contains, wanted),
            Test::Is(op, wanted) => any(*op, wanted),
            Test::In(several) => several.iter().any(|wanted| any(Op::Equal, wanted)),
            Test::Missing => !self.record.any(field, part, Case::Either, |_| true),
            Test::Known => self.record.any(field, part, Case::Either, |_| true),
        }
    }
}

/// The first verdict like `decisive` decides; otherwise an open one leaves it open.
fn decided_by(decisive: Verdict, verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut result = !decisive;
    for verdict in verdicts {
        if verdict == decisive {
            return decisive;
        }
        if verdict == Verdict::AskDocument {
            result = verdict;
        }
    }
    result
}

/// One item of a list of facts against what stands in the brackets.
fn item_fits(expr: &Expr, item: &Json) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(|inner| item_fits(inner, item)),
        Expr::Any(parts) => parts.iter().any(|inner| item_fits(inner, item)),
        Expr::Not(inner) => !item_fits(inner, item),
        Expr::Test(Subject::Facts(path), test) => facts::passes(item, path, test),
        // The parser lets nothing else into these brackets.
        Expr::Test(Subject::Field(_), _) | Expr::Mentions(_) | Expr::Part(..) => false,
    }
}

/// Whether one of several numbers passes a comparison, as far as the least and the greatest of them tell.
fn reaches((least, greatest): (u64, u64), op: Op, wanted: u64) -> Option<bool> {
    match op {
        Op::Less | Op::AtMost => Some(satisfies(op, least.cmp(&wanted))),
        Op::More | Op::AtLeast => Some(satisfies(op, greatest.cmp(&wanted))),
        _ => (wanted < least || wanted > greatest).then_some(false),
    }
}

/// Whether `ordering` of a value to what is wanted is what the comparison asks for.
#[inline]
pub(super) fn satisfies(op: Op, ordering: Ordering) -> bool {
    match op {
        Op::Less => ordering.is_lt(),
        Op::AtMost => ordering.is_le(),
        Op::More => ordering.is_gt(),
        Op::AtLeast => ordering.is_ge(),
        _ => ordering.is_eq(),
    }
}

#[inline]
fn text_compares(text: &str, op: Op, needle: &Needle) -> bool {
    match op {
        Op::Equal => begins_with_words(text, &needle.lower),
        Op::Exactly => *text == needle.text,
        Op::Contains => contains(text, needle),
        _ => satisfies(op, natural(text, &needle.lower)),
    }
}

#[inline]
fn compares(field: Field, value: &Value<'_>, op: Op, wanted: &Wanted, now: Timestamp) -> bool {
    match (value, wanted) {
        (Value::Text(text), Wanted::Text(needle)) => text_compares(text, op, needle),
        (Value::Number(n), Wanted::Number(wanted, _)) => satisfies(op, n.cmp(wanted)),
        (Value::Flag(flag), Wanted::Flag(wanted)) => flag == wanted,
        (Value::Word(word), Wanted::Word(wanted)) => word == wanted || satisfies(op, place(field, word).cmp(&place(field, wanted))),
        (Value::Word(word), Wanted::Text(needle)) => needle.is_in(word),
        (Value::Time(at), Wanted::Ago(seconds)) => satisfies(op, (now.as_second() - at.as_second()).cmp(seconds)),
        (Value::Time(at), Wanted::At(from, until)) => match op {
            Op::Less => at < from,
            Op::AtMost => at < until,
            Op::More => at >= until,
            Op::AtLeast => at >= from,
            _ => from <= at && at < until,
        },
        (Value::Mac(mac), Wanted::Mac(wanted)) => mac == wanted,
        (Value::Mac(mac), Wanted::Text(needle)) => needle.is_in(&mac.to_string()),
        (Value::Address(address), Wanted::Network(net)) => match op {
            Op::Equal | Op::Exactly => net.contains(address),
            _ => satisfies(op, address.cmp(&net.addr())),
        },
        (Value::Address(address), Wanted::Text(needle)) => needle.is_in(&address.to_string()),
        (Value::Id(id), Wanted::Id(wanted)) => id == wanted,
        (Value::Id(id), Wanted::Text(needle)) => needle.is_in(&id.hyphenated().to_string()),
        _ => false,
    }
}

/// Whether a text is what is wanted (in lower case), or begins with it and the word ends there: `Dell` fits "Dell Inc.",
/// not "Dellorto".
#[inline]
pub(super) fn begins_with_words(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    match text.get(..wanted.len()) {
        Some(start) if start.eq_ignore_ascii_case(wanted) => match text.get(wanted.len()) {
            None => true,
            Some(next) => !wanted.is_empty() && matches!(next, b' ' | b',' | b';' | b'('),
        },
        _ => false,
    }
}

#[inline]
fn contains(text: &str, needle: &Needle) -> bool {
    // Most records hand out texts in lower case already.
    needle.is_in(text) || (text.bytes().any(|b| b.is_ascii_uppercase()) && needle.is_in(&text.to_ascii_lowercase()))
}

/// Where a word stands among those of its field.
#[inline]
fn place(field: Field, word: &str) -> usize {
    match field.described().kind {
        Kind::Word(words) => words.iter().position(|known| *known == word).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}
