//! The checks of a project on AWS.

use ops::doctor::{self, CheckLine, CloudObservations, Deployment, Quarantined, Unobserved};

use super::DoctorArgs;
use crate::observe::cloud_view::{self, CloudView};
use crate::observe::sql_probe::{self, SqlPlace};
use crate::observe::tls_probe;
use crate::operator_clients::OperatorClients;
use crate::process::ProcessContext;

/// Looks once.
///
/// # Errors
/// If there are no credentials or no region.
pub(super) async fn look(
    args: &DoctorArgs,
    process: &ProcessContext,
) -> anyhow::Result<Vec<CheckLine>> {
    let clients = OperatorClients::open(&args.project.name, process.now_ms).await?;
    let certificate = async {
        match &args.webhook {
            Some(webhook) => tls_probe::probe(webhook, (process.now_ms)()).await,
            None => Err(Unobserved {
                why: "the address of the webhook is not known".to_owned(),
                advice: cloud_view::webhook_advice(&args.project.name),
            }),
        }
    };
    let (view, sql, certificate) = tokio::join!(
        cloud_view::observe(&clients, args.webhook.as_ref(), process.now_ms),
        sql_probe::probe(SqlPlace::Athena(&args.project.name), args.sql()),
        certificate,
    );
    let cost = view.cost(args.budget, f64::from(args.tokens));
    let place = Deployment::Aws {
        project: args.project.name.clone(),
    };
    let mut lines = lines(&view, &place);
    lines.extend([
        doctor::sql(&place, &sql),
        doctor::cost(&cost),
        doctor::certificate(&certificate),
    ]);
    Ok(lines)
}

fn lines(view: &CloudView, place: &Deployment) -> Vec<CheckLine> {
    let quarantined = view.metrics(|it| Quarantined {
        recent: it.traffic().recent.rejected_by_reason,
        ..Quarantined::default()
    });
    vec![
        doctor::alarms(place, &view.alarms),
        doctor::receiving(place, &view.receiving()),
        doctor::files(place, &view.metrics(CloudObservations::files)),
        doctor::errors(place, &view.metrics(CloudObservations::traffic)),
        doctor::writes(place, &view.writes()),
        doctor::broadcasts(place, &view.metrics(CloudObservations::broadcasts)),
        doctor::lag(place, &view.metrics(CloudObservations::lag)),
        doctor::ledger(place, &view.metrics(CloudObservations::ledger)),
        doctor::queues(place, &view.metrics(CloudObservations::queues)),
        doctor::quarantine(place, &quarantined),
        doctor::throttles(place, &view.metrics(CloudObservations::throttles)),
        doctor::clocks(place, &view.clocks()),
        doctor::versions(place, &view.versions()),
    ]
}
