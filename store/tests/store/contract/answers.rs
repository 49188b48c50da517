use super::{ODD, at};
use domain::ports::{AnswerStore, Answered};

/// An answer that was given at `at(second)`.
pub fn answer(key: &str, second: i64) -> Answered {
    Answered { key: key.into(), request: "ef".repeat(32), status: 201, body: ODD.into(), at: at(second) }
}

/// What [`AnswerStore`] promises.
pub async fn answer_contract(store: &dyn AnswerStore) {
    const DAY: i64 = 86_400;
    assert_eq!(store.answered("a").await.expect("read"), None);
    let first = answer("a", 0);
    store.keep_answer(&first).await.expect("kept");
    assert_eq!(store.answered("a").await.expect("read"), Some(first.clone()));
    assert_eq!(store.answered("A").await.expect("read"), None, "keys are compared as they are");

    let second = Answered { status: 500, body: "another".into(), ..answer("a", 1) };
    store.keep_answer(&second).await.expect("kept");
    assert_eq!(store.answered("a").await.expect("read"), Some(first.clone()), "the first answer is what was sent");

    store.keep_answer(&answer(ODD, DAY)).await.expect("kept");
    assert_eq!(store.answered("a").await.expect("read"), Some(first), "it is a day old");
    store.keep_answer(&answer("b", DAY + 1)).await.expect("kept");
    assert_eq!(store.answered("a").await.expect("read"), None, "it is older");
    assert_eq!(store.answered(ODD).await.expect("read"), Some(answer(ODD, DAY)));
    let again = answer("a", DAY + 2);
    store.keep_answer(&again).await.expect("kept");
    assert_eq!(store.answered("a").await.expect("read"), Some(again));

    let nul = Answered { body: "\0".into(), ..answer("\0", DAY + 3) };
    store.keep_answer(&nul).await.expect("kept");
    let found = store.answered("\0").await.expect("read").expect("an answer");
    assert_eq!(found.body, "\u{fffd}", "not every database holds NUL in a text");
}
