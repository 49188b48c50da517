//! The words and signs of a query.

use super::mistake::{Mistake, shown};
use super::query::Op;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use winnow::combinator::{alt, dispatch, empty, fail, preceded, repeat, terminated};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, one_of, take_while};

/// A word or sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// Without quotation marks: a name, a value, `and`.
    Word(&'a str),
    /// With them.
    Quoted(String),
    Op(Op),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Comma,
}

pub(super) type Placed<'a> = (Token<'a>, Range<usize>);
type Input<'a> = LocatingSlice<&'a str>;

/// Words that mean something where they stand without quotation marks.
const KEYWORDS: [&str; 5] = ["and", "or", "not", "in", "is"];

/// Whether an unquoted word is the language's own.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

fn stands_in_words(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"()[],=!<>~\"'".contains(c)
}

fn op(input: &mut Input<'_>) -> ModalResult<Op> {
    alt((
        "==".value(Op::Exactly),
        "=".value(Op::Equal),
        "!=".value(Op::Differs),
        "!~".value(Op::Lacks),
        "<=".value(Op::AtMost),
        "<".value(Op::Less),
        ">=".value(Op::AtLeast),
        ">".value(Op::More),
        "~".value(Op::Contains),
    ))
    .parse_next(input)
}

fn quoted(input: &mut Input<'_>) -> ModalResult<String> {
    let mark = one_of(['"', '\'']).parse_next(input)?;
    let plain = |c: char| !c.is_control();
    let sign = alt((preceded('\\', any.verify(move |c| plain(*c))), any.verify(move |c| plain(*c) && *c != mark && *c != '\\')));
    terminated(repeat(0.., sign), mark).parse_next(input)
}

fn sign<'a>(input: &mut Input<'a>) -> ModalResult<Token<'a>> {
    dispatch! {any;
        '(' => empty.value(Token::Open),
        ')' => empty.value(Token::Close),
        '[' => empty.value(Token::OpenBracket),
        ']' => empty.value(Token::CloseBracket),
        ',' => empty.value(Token::Comma),
        _ => fail,
    }
    .parse_next(input)
}

fn placed<'a>(input: &mut Input<'a>) -> ModalResult<Placed<'a>> {
    let word = take_while(1.., stands_in_words).map(Token::Word);
    alt((word, op.map(Token::Op), sign, quoted.map(Token::Quoted))).with_span().parse_next(input)
}

/// Every word and sign with its place in the text.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Mistake> {
    let mut input = LocatingSlice::new(text);
    // People paste all kinds of spaces.
    let space = take_while(0.., char::is_whitespace);
    let all: ModalResult<Vec<_>> = repeat(0.., preceded(space, placed)).parse_next(&mut input);
    let at = input.current_token_start();
    let left = text[at..].trim_start();
    match (all, left.chars().next()) {
        (Ok(all), None) => Ok(all),
        (_, sign) => Err(unreadable(text, text.len() - left.len(), sign)),
    }
}

fn unreadable(text: &str, at: usize, sign: Option<char>) -> Mistake {
    let (length, message) = match sign {
        Some(mark @ ('"' | '\'')) => (text.len() - at, format!("this quotation is not closed on its line: end it with {mark}")),
        Some('!') => (1, "`!` alone is no comparison: write `!=`, `!~`, or `not` before the condition".into()),
        Some(c) => (c.len_utf8(), format!("`{}` cannot stand here", shown(&c.to_string()))),
        None => (0, "the query cannot be read".into()),
    };
    Mistake::new(text, at..at + length, message)
}

/// Writes a word so that it is read as the same text again.
pub(super) fn write_word(f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    if !word.is_empty() && word.chars().all(stands_in_words) && !is_keyword(word) {
        return f.write_str(word);
    }
    write!(f, "\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Token<'_> {
    /// What it is, to go on after "found".
    pub(super) fn shown(&self) -> Cow<'static, str> {
        match self {
            Self::Word(word) => format!("`{}`", shown(word)).into(),
            Self::Quoted(text) => format!("\"{}\"", shown(text)).into(),
            Self::Op(op) => format!("`{op}`").into(),
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::OpenBracket => "`[`".into(),
            Self::CloseBracket => "`]`".into(),
            Self::Comma => "`,`".into(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_and_signs_are_told_apart_with_their_places() {
        let text = r#"disks.size>=1.5TB and(note="a \"b\" (c)" or mac in (52:54:00:12:34:56,x))"#;
        let all = tokens(text).unwrap();
        let words: Vec<_> = all.iter().map(|(token, _)| token.shown()).collect();
        let wanted = [
            "`disks.size`",
            "`>=`",
            "`1.5TB`",
            "`and`",
            "`(`",
            "`note`",
            "`=`",
            "\"a \"b\" (c)\"",
            "`or`",
            "`mac`",
            "`in`",
            "`(`",
            "`52:54:00:12:34:56`",
            "`,`",
            "`x`",
            "`)`",
            "`)`",
        ];
        assert_eq!(words, wanted);
        assert_eq!(&text[all[2].1.clone()], "1.5TB");
        assert_eq!(&text[all[7].1.clone()], r#""a \"b\" (c)""#);
        assert_eq!(tokens("  ").unwrap(), []);
    }

    #[test]
    fn what_is_no_token_is_pointed_out() {
        for (text, wanted) in [
            ("vendor = \"Dell", "this quotation is not closed on its line: end it with \"\n  vendor = \"Dell\n           ^^^^^"),
            ("it's", "this quotation is not closed on its line: end it with '\n  it's\n    ^^"),
            ("a ! b", "`!` alone is no comparison: write `!=`, `!~`, or `not` before the condition\n  a ! b\n    ^"),
        ] {
            assert_eq!(tokens(text).unwrap_err().to_string(), wanted);
        }
    }
}
