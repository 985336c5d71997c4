//! The namespace `/admin`: a guard that takes its time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sockeye::{Data, Namespace, Refusal};

use crate::{drop_me, echo, whoami};

#[derive(Deserialize, Default)]
struct Auth {
    token: Option<String>,
}

#[derive(Serialize)]
struct Why {
    code: u32,
    retry: bool,
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new("/admin")
        .middleware(async |Data(auth): Data<Option<Auth>>| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if auth.unwrap_or_default().token.as_deref() == Some("letmein") {
                Ok(())
            } else {
                Err(Refusal::new("not authorized").with_data(Why { code: 42, retry: false }))
            }
        })
        .on("echo", echo)
        .on("whoami", whoami)
        .on("drop me", drop_me)
}
