//! What a newcomer reads first: where the dashboard is, and two commands to try.

use std::io::Write;

use crate::Server;

impl Server {
    /// Prints where the dashboard is and what to try, on standard output.
    pub fn greet(&self) {
        let text = self.greeting();
        // A closed standard output is no reason to stop.
        drop(std::io::stdout().lock().write_all(text.as_bytes()));
    }

    fn greeting(&self) -> String {
        let url = format!("http://{}", self.address);
        let rollout = if self.rollout.use_kinesis {
            format!(
                "{} % of ticks go to the stream, drawn by {}",
                self.rollout.percentage, self.rollout.key
            )
        } else {
            "off: no tick goes to the stream".to_owned()
        };
        let secrets = if self.secured {
            "callers must sign or send a secret"
        } else {
            "none, so it listens on loopback only; set WEBHOOK_SECRETS to open it"
        };
        let authorization = if self.secured {
            " -H 'Authorization: YOUR-SECRET'"
        } else {
            ""
        };
        let data = self.config.data_dir.display();
        let chosen = if self.config.data_dir.as_os_str() == "./data" {
            String::new()
        } else {
            format!(" --data-dir '{data}'")
        };
        let now = runtime::clock::now_ms();
        format!(
            "tickstream {version}\n\
             \x20 dashboard  {url}/\n\
             \x20 data       {data}\n\
             \x20 rollout    {rollout}\n\
             \x20 secrets    {secrets}\n\
             \n\
             Try, in another terminal:\n\
             \x20 curl{authorization} {url}/webhooks/ticks --json '{{\"token\":\"BTC\",\"quote\":\"USD\",\"price\":\"68900.50\",\"timestamp\":{now}}}'\n\
             \x20 cargo run --release -p ticksql -- \"SELECT token, count(*) AS ticks, max(price) AS high FROM price_archive WHERE :days GROUP BY token\" -p from=now-1d -p to=now{chosen}\n\
             \n",
            version = env!("CARGO_PKG_VERSION"),
        )
    }
}
