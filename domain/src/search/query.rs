//! What a query is, and how it is written out: what is written parses to the same query again.

use super::fields::{Field, List};
use super::quantity::{written_moment, written_seconds};
use super::{Kind, token};
use crate::clock::Timestamp;
use crate::mac::MacAddr;
use crate::quantity::{Bytes, Rate};
use ipnet::IpNet;
use memchr::memmem::Finder;
use std::fmt;
use uuid::Uuid;

/// A question about nodes, checked. Written out it is in a fixed form that parses to the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// None fits every node.
    pub(super) wanted: Option<Expr>,
}

/// A part of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    /// All of them hold; two at least.
    All(Vec<Expr>),
    /// One of them holds; two at least.
    Any(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// The words stand somewhere in the node's texts.
    Mentions(Needle),
    /// A value of the subject passes.
    Test(Subject, Test),
    /// One part of a list passes all by itself.
    Part(Group, Box<Expr>),
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Subject {
    Field(Field),
    /// Below the facts of the document or, in brackets, below one item.
    Facts(Path),
}

/// A list whose items are asked one by one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Group {
    List(List),
    Facts(Path),
}

/// A way through JSON by names of members; lists on it are passed through item by item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub(super) Vec<String>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Is(Op, Wanted),
    In(Vec<Wanted>),
    Missing,
    Known,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    Exactly,
    Differs,
    Less,
    AtMost,
    More,
    AtLeast,
    Contains,
    Lacks,
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Text(Needle),
    /// One of the words of its field, by its place among them.
    Word(&'static str),
    /// In the unit of its kind.
    Number(u64, Kind),
    Flag(bool),
    Mac(MacAddr),
    Network(IpNet),
    Id(Uuid),
    /// Seconds before now.
    Ago(i64),
    /// From the first, until before the second.
    At(Timestamp, Timestamp),
    /// For facts, whose kind nobody knows: as text, and as a number if it is one.
    Loose(Needle, Option<f64>),
}

/// A text to look for.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    /// As it was typed.
    pub(super) text: String,
    /// In lower case, letters A to Z.
    pub(super) lower: String,
    finder: Box<Finder<'static>>,
    /// The same MAC address as nodes write it, where the text is one in another spelling.
    mac: Option<Box<Finder<'static>>>,
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let finder = |text: &str| Box::new(Finder::new(text.as_bytes()).into_owned());
        let mac = text.parse::<MacAddr>().map(|mac| mac.to_string()).ok().filter(|mac| *mac != lower);
        Self { text: text.to_owned(), finder: finder(&lower), mac: mac.as_deref().map(finder), lower }
    }

    /// Whether it stands in a text that is in lower case.
    #[inline]
    pub(super) fn is_in(&self, lower: &str) -> bool {
        let in_it = |finder: &Finder<'_>| finder.find(lower.as_bytes()).is_some();
        in_it(&self.finder) || self.mac.as_deref().is_some_and(in_it)
    }
}

impl Query {
    /// Whether it asks for facts that only documents hold.
    pub fn needs_documents(&self) -> bool {
        fn needs(expr: &Expr) -> bool {
            match expr {
                Expr::All(parts) | Expr::Any(parts) => parts.iter().any(needs),
                Expr::Not(inner) => needs(inner),
                Expr::Mentions(_) => false,
                Expr::Test(subject, _) => matches!(subject, Subject::Facts(_)),
                Expr::Part(group, _) => matches!(group, Group::Facts(_)),
            }
        }
        self.wanted.as_ref().is_some_and(needs)
    }
}

impl Query {
    /// The same question with what is told quickly first. It fits the same nodes, and is written in another order.
    #[must_use]
    pub fn quickest_first(&self) -> Self {
        Self { wanted: self.wanted.clone().map(Expr::quickest_first) }
    }
}

impl Expr {
    fn quickest_first(self) -> Self {
        let sorted = |parts: Vec<Self>| {
            let mut parts: Vec<_> = parts.into_iter().map(Self::quickest_first).collect();
            parts.sort_by_key(Self::price);
            parts
        };
        match self {
            Self::All(parts) => Self::All(sorted(parts)),
            Self::Any(parts) => Self::Any(sorted(parts)),
            Self::Not(inner) => Self::Not(Box::new(inner.quickest_first())),
            Self::Part(group, inner) => Self::Part(group, Box::new(inner.quickest_first())),
            other @ (Self::Mentions(_) | Self::Test(..)) => other,
        }
    }

    /// How long it takes to tell, roughly.
    fn price(&self) -> u32 {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::price).fold(0, u32::saturating_add),
            Self::Not(inner) => inner.price(),
            Self::Mentions(_) => 40,
            Self::Test(Subject::Field(field), _) if field.described().list.is_some() => 20,
            Self::Test(Subject::Field(field), _) if field.described().kind == Kind::Text => 4,
            Self::Test(Subject::Field(_), _) => 2,
            Self::Part(Group::List(_), inner) => inner.price().saturating_mul(8),
            Self::Test(Subject::Facts(_), _) | Self::Part(Group::Facts(_), _) => 10_000,
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wanted.as_ref().map_or(Ok(()), |expr| expr.write(f, Around::Nothing, None))
    }
}

/// What a part stands in, which tells whether it needs brackets of its own.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Nothing,
    Or,
    And,
}

impl Expr {
    /// `group` is the list whose parts are asked, where names are short.
    fn write(&self, f: &mut fmt::Formatter<'_>, around: Around, group: Option<&Group>) -> fmt::Result {
        match self {
            Self::All(parts) => write_parts(f, parts, " and ", Around::And, around == Around::And, group),
            Self::Any(parts) => write_parts(f, parts, " or ", Around::Or, around != Around::Nothing, group),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.write(f, Around::And, group)
            }
            Self::Mentions(needle) => token::write_word(f, &needle.text),
            Self::Test(Subject::Field(field), test) if group.is_some() => write!(f, "{} {test}", field.short_name()),
            Self::Test(Subject::Facts(path), test) if group.is_some() => write!(f, "{path} {test}"),
            Self::Test(subject, test) => write!(f, "{subject} {test}"),
            Self::Part(group, inner) => {
                match group {
                    Group::List(list) => write!(f, "{}[", list.name())?,
                    Group::Facts(path) => write!(f, "facts.{path}[")?,
                }
                inner.write(f, Around::Nothing, Some(group))?;
                f.write_str("]")
            }
        }
    }
}

fn write_parts(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    word: &str,
    within: Around,
    bracketed: bool,
    group: Option<&Group>,
) -> fmt::Result {
    f.write_str(if bracketed { "(" } else { "" })?;
    for (n, part) in parts.iter().enumerate() {
        f.write_str(if n > 0 { word } else { "" })?;
        part.write(f, within, group)?;
    }
    f.write_str(if bracketed { ")" } else { "" })
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(field.described().name),
            Self::Facts(path) => write!(f, "facts.{path}"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(op, wanted) => write!(f, "{op} {wanted}"),
            Self::In(several) => {
                f.write_str("in (")?;
                for (n, wanted) in several.iter().enumerate() {
                    write!(f, "{}{wanted}", if n > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Self::Missing => f.write_str("is missing"),
            Self::Known => f.write_str("is known"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Exactly => "==",
            Self::Differs => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Contains => "~",
            Self::Lacks => "!~",
        })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(needle) | Self::Loose(needle, _) => token::write_word(f, &needle.text),
            Self::Word(word) => f.write_str(word),
            Self::Number(n, Kind::Bytes | Kind::Memory) => f.write_str(&joined(&Bytes(*n))),
            Self::Number(n, Kind::Speed) => f.write_str(&joined(&Rate(*n))),
            Self::Number(n, Kind::Percent) => write!(f, "{n}%"),
            Self::Number(n, _) => write!(f, "{n}"),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Mac(mac) => write!(f, "{mac}"),
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Network(net) => write!(f, "{net}"),
            Self::Id(id) => write!(f, "{id}"),
            Self::Ago(seconds) => f.write_str(&written_seconds(*seconds)),
            Self::At(from, until) => f.write_str(&written_moment(*from, *until)),
        }
    }
}

/// An amount as one word.
fn joined(amount: &dyn fmt::Display) -> String {
    amount.to_string().replace(' ', "")
}
