//! From words and signs to a query, each value checked against the kind of its field.
//!
//! ```text
//! query     = any
//! any       = all { "or" all }
//! all       = one { ["and"] one }
//! one       = "not" one | "(" any ")" | condition | list "[" any "]" | word
//! condition = field compare value | field ["not"] "in" "(" value { "," value } ")" | field "is" ("missing" | "known")
//! ```

use super::fields::{Field, Kind, List, all_names, nearest};
use super::mistake::{Mistake, shown};
use super::quantity;
use super::query::{Expr, Group, Needle, Op, Path, Query, Subject, Test, Wanted};
use super::token::{Placed, Token, is_keyword, tokens};
use super::{DEEPEST, MOST_BYTES};
use crate::quantity::{Bytes, Rate};
use std::ops::Range;
use std::str::FromStr;

/// The most values of one `in (…)`.
const MOST_VALUES: usize = 256;

impl FromStr for Query {
    type Err = Mistake;

    /// Reads a query; an empty one fits every node.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        if text.len() > MOST_BYTES {
            let message = format!("the query is too long: it has {} bytes, and {MOST_BYTES} are read", text.len());
            return Err(Mistake::new("", 0..0, message));
        }
        let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0, inside: None };
        if parser.tokens.is_empty() {
            return Ok(Self::default());
        }
        let wanted = parser.any()?;
        match parser.peek() {
            None => Ok(Self { wanted: Some(wanted) }),
            Some(token) => {
                let message = format!("found {} where a condition or the end was expected", token.shown());
                Err(parser.mistake(message))
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed<'a>>,
    next: usize,
    depth: usize,
    /// The list whose brackets are open.
    inside: Option<Group>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn after(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next + 1).map(|(token, _)| token)
    }

    fn take(&mut self) -> Option<Placed<'a>> {
        let taken = self.tokens.get(self.next).cloned();
        self.next += 1;
        taken
    }

    fn takes(&mut self, wanted: &Token<'_>) -> bool {
        let fits = self.peek() == Some(wanted);
        self.next += usize::from(fits);
        fits
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let fits = self.is_word(wanted);
        self.next += usize::from(fits);
        fits
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted))
    }

    /// Where the next token stands, or the end.
    fn here(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        self.tokens.get(self.next).map_or(end..end, |(_, at)| at.clone())
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.text, self.here(), message)
    }

    /// "expected X, found Y" at the next token.
    fn expected(&self, what: &str) -> Mistake {
        let found = self.peek().map_or("the end".into(), Token::shown);
        self.mistake(format!("expected {what}, found {found}"))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth >= DEEPEST {
            return Err(self.mistake(format!("this is nested too deeply: at most {DEEPEST} levels are read")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Result<Expr, Mistake> {
        let mut parts = vec![self.all()?];
        while self.takes_word("or") {
            parts.push(self.all()?);
        }
        Ok(joined(parts, Expr::Any))
    }

    fn all(&mut self) -> Result<Expr, Mistake> {
        let mut parts = vec![self.one()?];
        loop {
            let ends = matches!(self.peek(), None | Some(Token::Close | Token::CloseBracket)) || self.is_word("or");
            if ends {
                return Ok(joined(parts, Expr::All));
            }
            self.takes_word("and");
            parts.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Expr, Mistake> {
        if self.takes_word("not") {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.one()?))));
        }
        if self.takes(&Token::Open) {
            let inner = self.deeper(Self::any)?;
            return if self.takes(&Token::Close) { Ok(inner) } else { Err(self.expected("`)`")) };
        }
        match (self.peek(), self.after()) {
            (Some(Token::Word(_)), Some(Token::OpenBracket)) => self.part(),
            (Some(Token::Word(name)), Some(Token::Op(_))) if !is_keyword(name) => self.condition(),
            (Some(Token::Word(name)), Some(Token::Word(word)))
                if !is_keyword(name) && ["is", "in"].iter().any(|own| own.eq_ignore_ascii_case(word)) =>
            {
                self.condition()
            }
            // `tags not in (a, b)`; otherwise `not` begins the next condition.
            (Some(Token::Word(name)), Some(Token::Word(word)))
                if !is_keyword(name) && word.eq_ignore_ascii_case("not") && self.is_not_in() =>
            {
                self.condition()
            }
            (Some(Token::Word(word)), _) if !is_keyword(word) => {
                let word = (*word).to_owned();
                self.words(&word)
            }
            (Some(Token::Quoted(text)), _) => {
                let text = text.clone();
                self.words(&text)
            }
            (Some(Token::Word(keyword)), _) => {
                let message = format!("expected a condition, found `{keyword}`; to search for the word, quote it: \"{keyword}\"");
                Err(self.mistake(message))
            }
            _ => Err(self.expected("a condition such as `vendor = Dell`")),
        }
    }

    fn is_not_in(&self) -> bool {
        let word_at =
            |at: usize, wanted: &str| matches!(self.tokens.get(at), Some((Token::Word(word), _)) if word.eq_ignore_ascii_case(wanted));
        word_at(self.next + 2, "in") && matches!(self.tokens.get(self.next + 3), Some((Token::Open, _)))
    }

    /// A bare word, or words in quotation marks.
    fn words(&mut self, text: &str) -> Result<Expr, Mistake> {
        if let Some(Token::Op(op)) = self.after() {
            let message = format!("the left side of `{op}` is the name of a field, without quotation marks");
            return Err(self.mistake(message));
        }
        if self.inside.is_some() {
            return Err(self.mistake("inside `[ ]` stand conditions only, such as `size > 1TB`"));
        }
        if text.trim().is_empty() {
            return Err(self.mistake("an empty text cannot be searched for"));
        }
        self.next += 1;
        Ok(Expr::Mentions(Needle::new(text)))
    }

    /// `disks[size > 1TB and kind = nvme]`.
    fn part(&mut self) -> Result<Expr, Mistake> {
        if self.inside.is_some() {
            return Err(self.mistake("inside `[ ]` no other list can be opened"));
        }
        let (at, name) = self.name()?;
        let group = match facts_path(&name) {
            Some(path) => Group::Facts(self.path(path, at)?),
            None => {
                [List::Disks, List::Nics].into_iter().find(|list| list.name().eq_ignore_ascii_case(&name)).map(Group::List).ok_or_else(
                    || {
                        Mistake::new(
                            self.text,
                            at,
                            format!("`{}` has no parts: `[ ]` follows `disks`, `nics` or a list of `facts`", shown(&name)),
                        )
                    },
                )?
            }
        };
        self.takes(&Token::OpenBracket);
        self.inside = Some(group.clone());
        let inner = self.deeper(Self::any);
        self.inside = None;
        let inner = inner?;
        if !self.takes(&Token::CloseBracket) {
            return Err(self.expected("`]`"));
        }
        Ok(Expr::Part(group, Box::new(inner)))
    }

    fn name(&mut self) -> Result<(Range<usize>, String), Mistake> {
        let at = self.here();
        match self.take() {
            Some((Token::Word(word), _)) => Ok((at, word.to_owned())),
            _ => Err(Mistake::new(self.text, at, "expected the name of a field")),
        }
    }

    fn path(&self, path: &str, at: Range<usize>) -> Result<Path, Mistake> {
        let names: Vec<String> = path.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) || names.len() > DEEPEST {
            return Err(Mistake::new(
                self.text,
                at,
                "a path into the facts is names with points between: `facts.memory.dimms.part_number`",
            ));
        }
        Ok(Path(names))
    }

    fn subject(&mut self) -> Result<Subject, Mistake> {
        let (at, name) = self.name()?;
        let unknown = |hint: Option<&'static str>, all: &mut dyn Iterator<Item = &'static str>| {
            let mend =
                hint.map_or_else(|| format!("known are {}", all.collect::<Vec<_>>().join(", ")), |near| format!("did you mean `{near}`?"));
            Mistake::new(self.text, at.clone(), format!("there is no field `{}`; {mend}", shown(&name)))
        };
        match &self.inside {
            Some(Group::Facts(_)) => Ok(Subject::Facts(self.path(&name, at)?)),
            Some(Group::List(list)) => {
                let short = || Field::in_list(*list).map(Field::short_name);
                Field::of_list(*list, &name).map(Subject::Field).ok_or_else(|| unknown(nearest(&name, short()), &mut short()))
            }
            None => match facts_path(&name) {
                Some(path) => Ok(Subject::Facts(self.path(path, at)?)),
                None => {
                    let all = &mut super::FIELDS.iter().map(|field| field.name).chain(["facts.…"]);
                    Field::named(&name).map(Subject::Field).ok_or_else(|| unknown(nearest(&name, all_names()), all))
                }
            },
        }
    }

    fn condition(&mut self) -> Result<Expr, Mistake> {
        let subject = self.subject()?;
        if self.takes_word("is") {
            let negated = self.takes_word("not");
            let test = match () {
                () if self.takes_word("missing") => Test::Missing,
                () if self.takes_word("known") => Test::Known,
                () => return Err(self.expected("`missing` or `known` after `is`; to compare, write `=`")),
            };
            let test = Expr::Test(subject, test);
            return if negated { self.deeper(|_| Ok(Expr::Not(Box::new(test)))) } else { Ok(test) };
        }
        if self.takes_word("not") {
            self.takes_word("in");
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.one_of(subject)?))));
        }
        if self.takes_word("in") {
            return self.one_of(subject);
        }
        let at = self.here();
        let Some((Token::Op(op), _)) = self.take() else {
            return Err(Mistake::new(self.text, at, "expected a comparison such as `=`, `!=`, `<`, `~`, `in (…)` or `is missing`"));
        };
        let place = self.here();
        let wanted = self.value(&subject, op)?;
        fits_together(&subject, op, &wanted).map_err(|why| Mistake::new(self.text, at.start..place.end.max(at.end), why))?;
        Ok(Expr::Test(subject, Test::Is(op, wanted)))
    }

    /// What follows `in`.
    fn one_of(&mut self, subject: Subject) -> Result<Expr, Mistake> {
        if !self.takes(&Token::Open) {
            return Err(self.expected("`(` and a list of values after `in`"));
        }
        let mut several = Vec::new();
        loop {
            if several.len() >= MOST_VALUES {
                return Err(self.mistake(format!("the list is too long: it may have {MOST_VALUES} values")));
            }
            let place = self.here();
            let wanted = self.value(&subject, Op::Equal)?;
            fits_together(&subject, Op::Equal, &wanted).map_err(|why| Mistake::new(self.text, place, why))?;
            several.push(wanted);
            if self.takes(&Token::Close) {
                return Ok(Expr::Test(subject, Test::In(several)));
            }
            if !self.takes(&Token::Comma) {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    /// One value of the kind that the subject has.
    fn value(&mut self, subject: &Subject, op: Op) -> Result<Wanted, Mistake> {
        let kind = match subject {
            Subject::Field(field) => Some(field.described().kind),
            Subject::Facts(_) => None,
        };
        let expects = || kind.map_or_else(|| "a value".to_owned(), |kind| kind.expected());
        let at = self.here();
        let mut typed = match self.peek() {
            Some(Token::Word(word)) if is_keyword(word) => {
                let message = format!("expected {}, found `{word}`; quote the word if it is meant: \"{word}\"", expects());
                return Err(self.mistake(message));
            }
            Some(Token::Word(word)) => (*word).to_owned(),
            Some(Token::Quoted(text)) => text.clone(),
            _ => return Err(self.expected(&expects())),
        };
        self.next += 1;
        let mut end = at.end;
        // `1 TB`.
        let measured = matches!(kind, Some(Kind::Bytes | Kind::Memory | Kind::Speed | Kind::Percent | Kind::Time));
        if let (true, Some(Token::Word(unit))) = (measured && typed.bytes().all(|b| b.is_ascii_digit() || b == b'.'), self.peek())
            && quantity::is_unit(unit)
        {
            typed.push_str(unit);
            end = self.here().end;
            self.next += 1;
        }
        read_value(kind, op, &typed).ok_or_else(|| {
            // `1T` could be either: whoever reads amounts says how to make it clear.
            let unclear = matches!(kind, Some(Kind::Bytes | Kind::Memory)).then(|| typed.parse::<Bytes>().err()).flatten();
            if let Some(unclear) = unclear.map(|why| why.to_string()).filter(|why| why.contains("clear")) {
                return Mistake::new(self.text, at.start..end, unclear);
            }
            let near = match kind {
                Some(Kind::Word(words)) => nearest(&typed, words.iter().copied()).map(|near| format!("; did you mean `{near}`?")),
                _ => None,
            };
            let message = format!("expected {}, found `{}`{}", expects(), shown(&typed), near.unwrap_or_default());
            Mistake::new(self.text, at.start..end, message)
        })
    }
}

fn joined(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

/// What follows `facts.`.
fn facts_path(name: &str) -> Option<&str> {
    name.split_once('.').filter(|(first, _)| first.eq_ignore_ascii_case("facts")).map(|(_, path)| path)
}

fn read_value(kind: Option<Kind>, op: Op, typed: &str) -> Option<Wanted> {
    let text = || Wanted::Text(Needle::new(typed));
    let number = |n: Option<u64>, kind: Kind| n.map(|n| Wanted::Number(n, kind));
    // What is asked for a part of a text is a text.
    if matches!(op, Op::Contains | Op::Lacks) && kind.is_some_and(|kind| kind.is_read_as_text()) {
        return (!typed.is_empty()).then(text);
    }
    match kind {
        None => Some(Wanted::Loose(
            Needle::new(typed),
            typed.parse().ok().filter(|n: &f64| n.is_finite()).or_else(|| typed.parse().ok().map(|Bytes(n)| n as f64)),
        )),
        Some(Kind::Text) => Some(text()),
        Some(Kind::Word(words)) => words.iter().find(|word| word.eq_ignore_ascii_case(typed)).map(|word| Wanted::Word(word)),
        Some(kind @ Kind::Number) => number(quantity::number(typed), kind),
        Some(kind @ (Kind::Bytes | Kind::Memory)) => number(typed.parse().ok().map(|Bytes(n)| n), kind),
        Some(kind @ Kind::Speed) => number(typed.parse().ok().map(|Rate(n)| n), kind),
        Some(kind @ Kind::Percent) => number(quantity::percent(typed), kind),
        Some(Kind::Flag) => match typed.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "up" => Some(Wanted::Flag(true)),
            "no" | "false" | "off" | "down" => Some(Wanted::Flag(false)),
            _ => None,
        },
        Some(Kind::Time) => match quantity::moment(typed) {
            Some((from, until)) => Some(Wanted::At(from, until)),
            None => quantity::seconds(typed).map(Wanted::Ago),
        },
        Some(Kind::Mac) => typed.parse().ok().map(Wanted::Mac),
        Some(Kind::Address) => {
            let network = typed.parse().map(|net: ipnet::IpNet| net.trunc()).ok();
            network.or_else(|| typed.parse::<std::net::IpAddr>().ok().map(Into::into)).map(Wanted::Network)
        }
        Some(Kind::Id) => typed.parse().ok().map(Wanted::Id),
    }
}

/// Whether this comparison can be asked of such a value.
fn fits_together(subject: &Subject, op: Op, wanted: &Wanted) -> Result<(), String> {
    let Subject::Field(field) = subject else { return Ok(()) };
    let (name, kind) = (field.described().name, field.described().kind);
    let ordered = matches!(op, Op::Less | Op::AtMost | Op::More | Op::AtLeast);
    match op {
        Op::Contains | Op::Lacks if !matches!(wanted, Wanted::Text(_)) => {
            Err(format!("`{op}` looks inside texts, and `{name}` is no text: use `=` or `>`"))
        }
        _ if ordered && matches!(kind, Kind::Flag | Kind::Id | Kind::Mac) => Err(format!("`{name}` has no order: use `=` or `!=`")),
        _ if ordered && matches!(wanted, Wanted::Network(net) if net.prefix_len() < net.max_prefix_len()) => {
            Err("a network has no order: use `=` for the addresses in it".into())
        }
        _ if !ordered && matches!(wanted, Wanted::Ago(_)) => {
            Err(format!("`{name}` and a length of time are compared with `<` (less long ago) or `>` (longer ago)"))
        }
        _ => Ok(()),
    }
}
