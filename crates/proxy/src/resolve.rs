//! From an admitted name to connections that may be dialled.

use crate::decide;
use crate::exit::Exit;
use crate::identify::Flow;
use crate::live::Connection;
use crate::pool::Line;
use creel_net::{Socket, dial};
use creel_policy::{Admission, Permit, Refusal};
use creel_types::{Generation, Host, HostName};
use std::net::{IpAddr, SocketAddr};

/// Why an admitted connection did not come to be.
#[derive(Debug)]
pub(crate) enum NoWay {
    /// The policy refused: by now, or for the address.
    Refused(Box<Refusal>, Generation),
    /// The outside did not answer.
    Trouble(String),
}

impl Exit {
    /// Decides, resolves, judges each address and dials until one answers. Each dial spends its own permit.
    ///
    /// The connection outside is noted with the one inside, which may have `most` of them, before the policy is asked
    /// for the last time: a change that misses it there is seen here.
    pub(crate) async fn reach(&self, connection: &Connection, most: usize) -> Result<Socket, NoWay> {
        let (admission, addrs) = self.destinations(&connection.flow).await?;
        self.dial_one_of(&admission, (connection, most), addrs).await
    }

    /// Decides, resolves and judges as [`Exit::reach`] does, for a connection that is open already.
    pub(crate) async fn reach_again(&self, connection: &Connection, most: usize) -> Option<Line> {
        let flow = &*connection.flow;
        if !self.pool.has(flow) {
            return None;
        }
        let asked = self.setting.policy.generation();
        let (admission, addrs) = self.destinations(flow).await.ok()?;
        for (addr, _) in addrs {
            let Ok(permit) = self.permit(&admission, addr) else { continue };
            let Some(line) = self.pool.take(permit, flow, asked) else { continue };
            connection.reached(line.outside.addr, line.outside.cutter.clone(), most);
            if asked == self.setting.policy.generation() {
                return Some(line);
            }
            connection.left(&line.outside.cutter);
        }
        None
    }

    async fn destinations(&self, flow: &Flow) -> Result<(Admission, Vec<(IpAddr, u16)>), NoWay> {
        let (admission, addrs) = {
            let now = self.setting.policy.load();
            let leave =
                decide::connection(&now, flow).map_err(|refusal| NoWay::Refused(refusal, now.generation))?;
            (leave.admission, known(&now.policy, flow))
        };
        let addrs = match (addrs, &flow.host) {
            (Some(addrs), _) => addrs,
            (None, Host::Addr(addr)) => vec![(*addr, flow.port)],
            (None, Host::Name(name)) => self.look_up(name, flow.port).await?,
        };
        Ok((admission, addrs))
    }

    async fn look_up(&self, name: &HostName, port: u16) -> Result<Vec<(IpAddr, u16)>, NoWay> {
        let found = self.resolver.addresses(name).await.map_err(|e| NoWay::Trouble(e.to_string()))?;
        Ok(found.into_iter().map(|addr| (addr, port)).collect())
    }

    async fn dial_one_of(
        &self,
        admission: &Admission,
        (connection, most): (&Connection, usize),
        addrs: Vec<(IpAddr, u16)>,
    ) -> Result<Socket, NoWay> {
        let flow = &*connection.flow;
        let mut failed = NoWay::Trouble(format!("{} has no address", flow.host));
        for (addr, port) in addrs {
            let permit = match self.permit(admission, addr) {
                Ok(permit) => permit,
                Err(refused) => {
                    failed = refused;
                    continue;
                }
            };
            let asked = self.setting.policy.generation();
            let socket = match dial(permit, self.setting.limits.dial).await {
                Ok(stream) => Socket::new(stream),
                Err(e) => {
                    failed = NoWay::Trouble(e.to_string());
                    continue;
                }
            };
            let dialled = socket.peer_addr().unwrap_or_else(|_| SocketAddr::new(addr, port));
            connection.reached(dialled, socket.cutter(), most);
            // The policy may have changed while the other end took its time: its word is asked for again.
            if asked == self.setting.policy.generation() || !self.gone(flow, addr) {
                return Ok(socket);
            }
            connection.left(&socket.cutter());
            failed = NoWay::Trouble("the policy changed while the connection was opened".to_owned());
        }
        Err(failed)
    }

    fn permit(&self, admission: &Admission, addr: IpAddr) -> Result<Permit, NoWay> {
        let now = self.setting.policy.load();
        now.policy.permit(admission, addr).map_err(|refusal| NoWay::Refused(refusal.into(), now.generation))
    }

    /// Whether the policy in force would no longer lead the flow to this address.
    fn gone(&self, flow: &Flow, addr: IpAddr) -> bool {
        let now = self.setting.policy.load();
        decide::connection(&now, flow)
            .map_or(true, |leave| now.policy.permit(&leave.admission, addr).is_err())
    }
}

/// Where the operator said that a name is, which comes before asking anybody.
fn known(policy: &creel_policy::Policy, flow: &Flow) -> Option<Vec<(IpAddr, u16)>> {
    let Host::Name(name) = &flow.host else { return None };
    policy.resolution(name, flow.port).map(|addr| vec![(addr.ip(), addr.port())])
}
