//! Reports that operators bring.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fakes::{Hall, Machine, NodeOf, machine};
use domain::OrderId;
use domain::order::OrderKind;
use serde_json::{Value, json};
use uuid::Uuid;

fn installed(machine: &Machine) -> Value {
    json!({ "report": 1, "facts": {
        "system": { "serial": machine.serial, "uuid": machine.uuid.to_string() },
        "nics": [{ "name": "eno1", "mac": machine.mac.to_string() }],
        "agent": { "version": "0.2.0", "place": "installed" },
    }})
}

async fn import(hall: &Hall, report: &Value) -> Result<Imported, ImportError> {
    hall.inventory.import(serde_json::to_vec(report).unwrap(), "uid 0").await
}

#[tokio::test]
async fn a_machine_that_never_booted_from_us_becomes_a_node_and_stays_it() {
    let mut hall = Hall::new().await;
    let first = import(&hall, &installed(&machine(1))).await.unwrap();
    assert!(first.new && first.changed);
    assert_eq!((first.node.boot, first.node.reports, first.node.version), (None, 1, 1));
    hall.restart().await;
    let again = import(&hall, &installed(&machine(1))).await.unwrap();
    assert_eq!((again.node.id, again.new, again.changed), (first.node.id, false, false));
    assert_eq!(hall.report_ok(&machine(1)).await.id(), first.node.id, "and when it boots from us it is the same");
    assert_eq!(hall.counted("reports_imported"), 1, "since the restart");
}

#[tokio::test]
async fn a_node_that_reports_while_it_is_installed_keeps_its_stage_order_and_boot() {
    let hall = Hall::new().await;
    let id = hall.report_ok(&machine(1)).await.id();
    hall.inventory.give_order(id, OrderKind::LocalDisk, OrderId(Uuid::from_u128(7))).await.unwrap();
    let before = hall.node(id).await;
    hall.clock.forward(1);
    let mut report = installed(&machine(1));
    report["boot"] = json!("0199a3c2-6f1e-7cc0-8d33-0b1f6a3d9e01");
    let imported = import(&hall, &report).await.unwrap();
    assert!(imported.changed && !imported.new);
    let after = hall.node(id).await;
    assert_eq!(
        (after.stage, after.order, after.boot, &after.key, after.address),
        (before.stage, before.order, before.boot, &before.key, before.address)
    );
    assert_eq!((after.reports, after.last_seen > before.last_seen), (2, true));
    assert_eq!(hall.inventory.history(id, None, 1).await.unwrap()[0].boot, None);
    let agent = hall.agent(&machine(1));
    assert_eq!(hall.send(agent.request("GET", "/orders", "")).await.1["order"], "local_disk", "its agent is still its agent");
}

#[tokio::test]
async fn what_cannot_be_imported_says_why() {
    let hall = Hall::new().await;
    let mut amendment = installed(&machine(1));
    amendment["amends"] = json!(true);
    for (report, mend) in [
        (json!([]), "not a report"),
        (json!({ "report": 2, "facts": {} }), "version 2"),
        (json!({ "report": 1, "facts": {} }), "as root"),
        (amendment, "overture-agent report"),
    ] {
        let error = import(&hall, &report).await.unwrap_err();
        assert!(error.to_string().contains(mend), "{error}");
    }
    assert_eq!(hall.inventory.count(), 0);
}
