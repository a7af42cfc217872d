//! The text at start: the dashboard's address, and two commands to try.

use std::io::Write;

use crate::Server;
use crate::config::{DATA_DIR, reachable};

impl Server {
    /// Prints the dashboard's address and commands to try, on standard output.
    pub fn greet(&self) {
        let text = self.greeting();
        // The server runs even if standard output is closed.
        drop(std::io::stdout().lock().write_all(text.as_bytes()));
    }

    fn greeting(&self) -> String {
        let url = format!("http://{}", reachable(self.address));
        let rollout = if self.rollout.use_kinesis {
            format!(
                "{} % of ticks go to the stream, selected by {}",
                self.rollout.percentage, self.rollout.key
            )
        } else {
            "off: no tick goes to the stream".to_owned()
        };
        let secrets = if self.secured && self.changeable {
            "callers must sign or send a secret; changes need OPERATOR_TOKEN"
        } else if self.secured {
            "callers must sign or send a secret; changes over HTTP are off, set OPERATOR_TOKEN for them"
        } else {
            "none, so it listens on loopback only; set WEBHOOK_SECRETS to open it"
        };
        let authorization = if self.secured {
            " -H 'Authorization: YOUR-SECRET'"
        } else {
            ""
        };
        let data = self.config.data_dir.display();
        let chosen = if self.config.data_dir.as_os_str() == DATA_DIR {
            String::new()
        } else {
            format!(" --data-dir '{data}'")
        };
        let everywhere = if self.address.ip().is_unspecified() {
            format!(
                "\x20 listens    on {}, every address of this machine\n",
                self.address
            )
        } else {
            String::new()
        };
        let made_up = if self.config.demo {
            "\x20 market     simulated (--demo): its ticks have a source that begins with demo:\n"
        } else {
            ""
        };
        let now = runtime::clock::now_ms();
        format!(
            "tickstream {version}\n\
             \x20 dashboard  {url}/\n\
             {everywhere}\
             \x20 data       {data}\n\
             {made_up}\
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

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tempfile::TempDir;

    use crate::config::Config;

    use super::*;

    async fn greeting(arguments: &[&str]) -> String {
        let folder = TempDir::new().unwrap();
        let folder = folder.path().to_str().unwrap();
        let fixed = ["tickstream", "--data-dir", folder];
        let config = Config::try_parse_from(fixed.iter().chain(arguments)).unwrap();
        Server::start(config).await.unwrap().greeting()
    }

    #[tokio::test]
    async fn a_made_up_market_is_announced_as_one() {
        let text = greeting(&["--listen", "127.0.0.1:0", "--demo"]).await;
        assert!(text.contains("simulated (--demo)"), "{text}");
        let text = greeting(&["--listen", "127.0.0.1:0"]).await;
        assert!(!text.contains("simulated"), "{text}");
    }

    #[tokio::test]
    async fn the_address_that_is_printed_can_be_reached() {
        for (listens, reached) in [
            ("0.0.0.0:9190", "127.0.0.1:9190"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            let listens = listens.parse().unwrap();
            assert_eq!(reachable(listens).to_string(), reached);
        }
        let text = greeting(&[
            "--webhook-secrets",
            "a-secret-of-16-characters",
            "--listen",
            "0.0.0.0:0",
        ])
        .await;
        assert!(text.contains("every address of this machine"), "{text}");
        assert!(text.contains("set OPERATOR_TOKEN"), "{text}");
        assert!(!text.contains("http://0"), "{text}");
    }
}
