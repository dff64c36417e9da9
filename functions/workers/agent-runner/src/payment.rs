//! What calls cost: set aside before they are made, settled with what came back.

use domain::budget::{Account, Budget, LedgerCall, Reservation};
use domain::event::EventKind;
use domain::execution::{ExecutionState, Failure, Tokens, Waiting};
use kernel::MicroCredits;
use llm::{ChatRequest, ModelId};
use serde_json::json;
use std::time::Duration;

use crate::record::Draft;
use crate::run::Run;
use crate::stop::Stop;

/// How often a run that waits for credits looks whether there are some without being told: credits
/// that other runs had set aside and did not need come back quietly.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What a call is expected to cost, and who pays.
pub(crate) struct Quote {
    pub(crate) amount: MicroCredits,
    budgets: Vec<Budget>,
    call: LedgerCall,
}

impl Run<'_> {
    /// What a model call may cost at most, as far as that is known before. `Err` where somebody
    /// limits what is spent and the price of the model is not known: unknown is not free.
    pub(crate) async fn quote_model(
        &self,
        step: u32,
        chat: &ChatRequest,
        candidates: &[ModelId],
    ) -> Result<Quote, Stop> {
        let budgets = self.budgets().await?;
        let now = self.runner.store.now();
        let bytes = serde_json::to_vec(chat).map_or(0, |body| body.len() as u64);
        let mut amount = MicroCredits::ZERO;
        for model in candidates {
            let name = model.to_string();
            match self.runner.prices.price_of(&name, now) {
                Some(price) => {
                    let output = chat.max_output_tokens.unwrap_or(MAX_OUTPUT_TOKENS);
                    let estimate = price.estimate(bytes, output.into());
                    amount = amount.max(estimate);
                }
                None if budgets.iter().all(|budget| budget.credits_unlimited) => {}
                None => {
                    let message = format!(
                        "The price of `{name}` is not known, and what this execution may spend is \
                         limited."
                    );
                    return Err(Stop::Fail(Failure::new("unknown_price", message)));
                }
            }
        }
        let payee = candidates.first().map(ModelId::to_string);
        Ok(self.quote(budgets, step, 0, payee.unwrap_or_default(), amount))
    }

    /// What a tool call costs.
    pub(crate) async fn quote_tool(
        &self,
        step: u32,
        call: u32,
        tool: &str,
        price: Option<MicroCredits>,
    ) -> Result<Quote, Stop> {
        let amount = price.unwrap_or(MicroCredits::ZERO);
        let budgets = if amount > MicroCredits::ZERO {
            self.budgets().await?
        } else {
            Vec::new()
        };
        Ok(self.quote(budgets, step, call, tool.to_owned(), amount))
    }

    async fn budgets(&self) -> Result<Vec<Budget>, Stop> {
        let budgets = self.runner.store.budgets(self.tenant);
        Ok(budgets.of_run(&self.execution).await?)
    }

    fn quote(
        &self,
        budgets: Vec<Budget>,
        step: u32,
        call: u32,
        payee: String,
        amount: MicroCredits,
    ) -> Quote {
        let execution = self.execution.id;
        Quote {
            amount,
            budgets,
            call: LedgerCall {
                execution,
                step,
                call,
                payee,
            },
        }
    }

    /// What a model call cost, by the price of the model that answered.
    pub(crate) fn cost_of(&self, model: &str, tokens: Tokens) -> Option<MicroCredits> {
        let price = self
            .runner
            .prices
            .price_of(model, self.runner.store.now())?;
        Some(price.cost(tokens))
    }

    /// What follows when an account refuses a model call: the end, where no steps are left, since
    /// nobody grants more of them; else a wait for credits.
    pub(crate) async fn refused_by(&mut self, account: Account, amount: MicroCredits) -> Stop {
        let budgets = self.runner.store.budgets(self.tenant);
        match budgets.get(account).await {
            Ok(Some(budget)) if budget.steps_left == Some(0) => {
                let message = "The agents of the swarm have made all the model calls they may.";
                Stop::Fail(Failure::new("swarm_step_limit", message))
            }
            Ok(_) => self.wait_for_credits(account, amount).await,
            Err(error) => error.into(),
        }
    }

    /// Parks the run until an account has credits again.
    pub(crate) async fn wait_for_credits(
        &mut self,
        account: Account,
        amount: MicroCredits,
    ) -> Stop {
        let reason = match account {
            Account::Org => "The organization has no credits left for the next call.",
            Account::Agent { .. } => "The agent has no credits left for the next call.",
            Account::Execution { .. } => "The execution has no credits left for the next call.",
        };
        let waiting = Waiting {
            reason: reason.to_owned(),
            account: Some(account),
            ..Waiting::default()
        };
        let exhausted = self.event(EventKind::BudgetExhausted, json!({ "account": account }));
        let parked = self
            .begin_wait(ExecutionState::OverBudget, waiting, move |draft| {
                let now = draft.now;
                draft.also(|commit| {
                    commit
                        .event(exhausted.clone())
                        .while_short_of(account, amount, now)
                });
            })
            .await;
        let look_again = self.runner.store.now().plus(LOOK_AGAIN);
        match parked {
            Ok(until) => Stop::Wait(until.min(look_again)),
            Err(stop) => stop,
        }
    }
}

/// The most tokens of a reply, where the agent does not say.
pub(crate) const MAX_OUTPUT_TOKENS: u32 = 8_192;

impl Quote {
    /// Sets aside what the call may cost, unless that was done for an earlier attempt at it.
    pub(crate) fn reserve(&self, draft: &mut Draft) {
        let reserved = draft.execution.spending.reserved.as_ref();
        if reserved.is_some_and(|other| self.is_for(other)) || self.budgets.is_empty() {
            return;
        }
        let now = draft.now;
        draft.also(|commit| commit.reserve(&self.budgets, &self.call, self.amount, now));
        draft.execution.spending.reserved = Some(Reservation {
            step: self.call.step,
            call: self.call.call,
            amount: self.amount,
            accounts: self.budgets.iter().map(|budget| budget.account).collect(),
        });
    }

    /// Takes what the call cost from what was set aside for it.
    pub(crate) fn settle(&self, draft: &mut Draft, cost: MicroCredits) {
        let now = draft.now;
        let spending = &mut draft.execution.spending;
        spending.spent = spending.spent.checked_add(cost).unwrap_or(spending.spent);
        match spending.reserved.take() {
            Some(reserved) if self.is_for(&reserved) => {
                draft.also(|commit| commit.settle(&reserved, &self.call, cost, now));
            }
            other => {
                // The run was ended meanwhile, and what was set aside given back.
                draft.execution.spending.reserved = other;
                let accounts: Vec<Account> =
                    self.budgets.iter().map(|budget| budget.account).collect();
                draft.also(|commit| commit.charge(&accounts, &self.call, cost, now));
            }
        }
    }

    fn is_for(&self, reserved: &Reservation) -> bool {
        (reserved.step, reserved.call) == (self.call.step, self.call.call)
    }
}
