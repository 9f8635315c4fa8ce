//! From an admitted name to connections that may be dialled.

use crate::decide;
use crate::exit::Exit;
use crate::identify::Flow;
use creel_net::dial;
use creel_policy::{Admission, Permit, Refusal};
use creel_types::{Generation, Host, HostName};
use std::net::IpAddr;
use tokio::net::TcpStream;

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
    pub(crate) async fn reach(&self, flow: &Flow) -> Result<TcpStream, NoWay> {
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
        self.dial_one_of(&admission, flow, addrs).await
    }

    async fn look_up(&self, name: &HostName, port: u16) -> Result<Vec<(IpAddr, u16)>, NoWay> {
        let found = self.resolver.addresses(name).await.map_err(|e| NoWay::Trouble(e.to_string()))?;
        Ok(found.into_iter().map(|addr| (addr, port)).collect())
    }

    async fn dial_one_of(
        &self,
        admission: &Admission,
        flow: &Flow,
        addrs: Vec<(IpAddr, u16)>,
    ) -> Result<TcpStream, NoWay> {
        let mut failed = NoWay::Trouble(format!("{} has no address", flow.host));
        for (addr, _) in addrs {
            let permit = match self.permit(admission, addr) {
                Ok(permit) => permit,
                Err(refused) => {
                    failed = refused;
                    continue;
                }
            };
            let asked = self.setting.policy.generation();
            match dial(permit, self.setting.limits.dial).await {
                // The policy may have changed while the other end took its time: its word is asked for again.
                Ok(_) if asked != self.setting.policy.generation() && self.gone(flow, addr) => {
                    failed = NoWay::Trouble("the policy changed while the connection was opened".to_owned());
                }
                Ok(stream) => return Ok(stream),
                Err(e) => failed = NoWay::Trouble(e.to_string()),
            }
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
