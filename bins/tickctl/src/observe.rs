//! What can be observed of a tickstream, for `doctor` and `status`: of the running process over HTTP, of the
//! opened store and its folder, or of a project on AWS.

#[cfg(feature = "aws")]
pub(crate) mod cloud_view;
mod machine_view;
mod server_view;
pub(crate) mod sql_probe;
mod store_view;
pub(crate) mod tls_probe;

use std::path::Path;

use crate::data_access::DataAccess;

#[cfg(test)]
pub(crate) use machine_view::RunningProcess;
pub(crate) use machine_view::{MachineView, PastChange, RolloutView};
pub(crate) use server_view::probe_write;

/// Observes what the options name. `here` is their data folder, which is only looked into if no address is
/// given.
///
/// # Errors
/// If a running process refuses or does not answer: then nothing can be seen.
pub(crate) async fn observe(
    access: &DataAccess,
    here: Option<&Path>,
    now_ms: fn() -> i64,
) -> anyhow::Result<MachineView> {
    match access {
        DataAccess::Server(server) => {
            let view = server_view::observe(server, now_ms).await;
            let mut view = view.map_err(|error| server.explain(error))?;
            view.data_dir = here.map(Path::to_owned);
            Ok(view)
        }
        DataAccess::Store(opened) => store_view::observe(opened, now_ms()).await,
    }
}
