//! Ten nodes in one process, over UDP on loopback: put on one, get on another that has to ask for it, and look at what they
//! know (E6).
//!
//! `cargo run -p key-value --example ten_nodes`

#![allow(clippy::print_stdout, reason = "an example speaks")]

use key_value::dump::LookupDump;
use key_value::{Kv, Wanted, key_of};
use transport_udp::UdpTransport;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The first node of a network needs nobody; each of the others joins through the one before it.
    let mut nodes: Vec<Kv> = Vec::new();
    for _ in 0..10 {
        let known = nodes.last().map(|node| node.local_addr().to_string());
        let transport = UdpTransport::bind("127.0.0.1:0").await?;
        // Four holders to a value instead of twenty, so that not everybody is one.
        let node = Kv::builder().configure(|config| config.k = 4).bootstrap(known).spawn(transport)?;
        if !nodes.is_empty() {
            node.bootstrapped().await?;
        }
        nodes.push(node);
    }
    let [writer, others @ ..] = nodes.as_slice() else { return Err("there are ten".into()) };

    let put = writer.put("greeting", "hello").await?;
    println!("{} nodes keep what {} has put", put.copies(), writer.local_addr());
    let mut reader = writer;
    for node in others {
        if node.dump().await?.pairs.is_empty() {
            reader = node;
        }
    }
    let value = reader.get("greeting").await?.ok_or("nothing found")?;
    println!("{} reads: {}", reader.local_addr(), String::from_utf8(value)?);

    let lookup = reader.lookup_value(key_of("greeting"), Wanted::Newest).await?;
    println!("\nThe lookup, for PlantUML:\n{}", LookupDump::from(&lookup).to_plantuml());
    println!("The reader, as JSON:\n{}", reader.dump().await?.to_json());
    for node in &nodes {
        node.shutdown().await;
    }
    Ok(())
}
