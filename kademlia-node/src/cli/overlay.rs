//! Flags that the commands of all overlays but Mainline share.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::host_port;
use crate::span;

/// How a command that is over soon finds its way into an overlay's network
#[derive(Debug, Args)]
pub(crate) struct OverlayJoin {
    /// Address to bind [default: any port, on loopback if that is where the named hosts are]
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<SocketAddr>,
    /// Host to join through; repeatable
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port, required = true)]
    pub(crate) bootstrap: Vec<String>,
    /// Longest time for joining, and longest time for what follows
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "30s")]
    pub(crate) timeout: Duration,
}
