//! The first job: documents in, a question answered with its sources. All of it through the API,
//! as a person's own program would do it; what an earlier run left is found and used.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::client::{Client, sha256, text};
use crate::terminal::Terminal;

/// The knowledge base that files are imported into, and asked about, unless another is named.
pub const IMPORTED: &str = "Imported";

/// The documents that the product carries.
pub const SAMPLES: &[(&str, &[u8])] = &[
    (
        "turbine-maintenance-handbook.pdf",
        include_bytes!("../../../samples/turbine-maintenance-handbook.pdf"),
    ),
    (
        "bearing-supply-agreement.docx",
        include_bytes!("../../../samples/bearing-supply-agreement.docx"),
    ),
    (
        "on-call-faq.md",
        include_bytes!("../../../samples/on-call-faq.md"),
    ),
];

/// What the demonstration asks.
pub const QUESTION: &str = "What is the torque for the blade root bolts, and what does the supplier \
                            pay for every week of late delivery?";

const ORG: &str = "Northwind Turbines";
const INSTRUCTIONS: &str = "You answer questions of service technicians. Search the knowledge \
                            bases first, answer from what you find, and cite it.";
const TOOLS: &[&str] = &[
    "search_knowledge",
    "read_document",
    "remember",
    "create_task",
    "ask_human",
];

/// What is asked of which documents.
pub struct Job {
    knowledge_base: String,
    agent: String,
    documents: Vec<(String, Vec<u8>)>,
    question: String,
}

impl Job {
    /// The demonstration, with the documents that the product carries.
    #[must_use]
    pub fn demonstration() -> Self {
        let documents = SAMPLES
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
            .collect();
        Self {
            knowledge_base: "Handbooks".to_owned(),
            agent: "Handbook guide".to_owned(),
            documents,
            question: QUESTION.to_owned(),
        }
    }

    /// A question about a person's own file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn about(file: &Path, question: String) -> anyhow::Result<Self> {
        let content =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .with_context(|| format!("{} is no file", file.display()))?;
        // A file that was changed since is another document, and is asked alone.
        let mark: String = sha256(&content)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(8)
            .collect();
        let short: String = name.chars().take(100).collect();
        Ok(Self {
            knowledge_base: format!("{short} ({mark})"),
            agent: format!("Guide to {short} ({mark})"),
            documents: vec![(name, content)],
            question,
        })
    }

    /// A question about what was imported into a knowledge base.
    #[must_use]
    pub fn over(knowledge_base: &str, question: String) -> Self {
        let short: String = knowledge_base.chars().take(150).collect();
        Self {
            knowledge_base: knowledge_base.to_owned(),
            agent: format!("Guide to {short}"),
            documents: Vec::new(),
            question,
        }
    }

    /// Does the job and returns what came of it: `answer`, `citations`, `execution`.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn run(&self, client: &Client, terminal: Terminal) -> anyhow::Result<Value> {
        let client = client.for_org(&find_org(client).await?);
        let base = self.base(&client).await?;
        self.bring_documents(&client, &base, terminal).await?;
        let agent = self.agent_over(&client, &base).await?;
        finish_earlier(&client, &agent, terminal).await?;
        terminal.line(format!("\n? {}\n", self.question));
        let title: String = self.question.chars().take(200).collect();
        let task: Value = client
            .post(
                "/v1/tasks",
                &json!({
                    "title": title,
                    "description": if title == self.question { "" } else { self.question.as_str() },
                    "assignee": { "kind": "agent", "id": agent },
                    "auto_run": true,
                }),
            )
            .await?;
        let execution = text(&task["execution"])?;
        client
            .follow(&execution, |event| terminal.event(event))
            .await?;
        outcome(&client, &execution).await
    }

    /// The knowledge base that is asked. What is brought into it makes it, if it is not there yet.
    async fn base(&self, client: &Client) -> anyhow::Result<String> {
        let (bases, name) = ("/v1/knowledge-bases", self.knowledge_base.as_str());
        if !self.documents.is_empty() {
            return find_or_create(client, bases, name, json!({ "name": name })).await;
        }
        find(client, bases, name).await?.with_context(|| {
            format!("nothing was imported into a knowledge base \u{201c}{name}\u{201d} yet: `import FOLDER` does")
        })
    }

    /// The agent that searches the knowledge base. One of the same name may search another, of a name
    /// that was given anew.
    async fn agent_over(&self, client: &Client, base: &str) -> anyhow::Result<String> {
        let bases = json!([base]);
        let known = client.list("/v1/agents").await?;
        let agent = known.iter().find(|agent| {
            agent["name"] == self.agent.as_str() && agent["knowledge_bases"] == bases
        });
        if let Some(agent) = agent {
            return text(&agent["id"]);
        }
        let body = json!({
            "name": self.agent,
            "instructions": INSTRUCTIONS,
            "tools": TOOLS,
            "knowledge_bases": bases,
        });
        let created: Value = client.post("/v1/agents", &body).await?;
        text(&created["id"])
    }

    async fn bring_documents(
        &self,
        client: &Client,
        base: &str,
        terminal: Terminal,
    ) -> anyhow::Result<()> {
        if self.documents.is_empty() {
            return Ok(());
        }
        let held = client
            .list(&format!("/v1/knowledge-bases/{base}/documents"))
            .await?;
        let mut brought = Vec::new();
        for (name, content) in &self.documents {
            let known = held
                .iter()
                .find(|document| document["name"] == name.as_str());
            let file = match known {
                Some(document) => text(&document["file"])?,
                None => {
                    terminal.line(format!("  upload {name} ({} bytes)", content.len()));
                    client.upload(name, content, base).await?
                }
            };
            brought.push((name, file));
        }
        for (name, file) in brought {
            let document = client.wait_for_document(base, &file).await?;
            terminal.line(format!("  ready  {name}: {} chunks", document["chunks"]));
        }
        Ok(())
    }
}

/// Where the API goes on from here, as commands to copy.
#[must_use]
pub fn next_steps(url: &str) -> String {
    format!(
        "\
The API is at {url}, its documentation at {url}/docs. Go on, from another terminal:

  TOKEN=$(curl -s -X POST {url}/local/token/ada | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s {url}/v1/agents     -H \"Authorization: Bearer $TOKEN\"
  curl -s {url}/v1/executions -H \"Authorization: Bearer $TOKEN\"
  curl -s {url}/v1/audit      -H \"Authorization: Bearer $TOKEN\"

Ctrl-C ends it; what is stored stays."
    )
}

/// The org of whoever sits at the command line.
pub(crate) async fn find_org(client: &Client) -> anyhow::Result<String> {
    find_or_create(client, "/v1/orgs", ORG, json!({ "name": ORG })).await
}

/// The id of the item of a list that has this name; it is created if there is none.
pub(crate) async fn find_or_create(
    client: &Client,
    path: &str,
    name: &str,
    body: Value,
) -> anyhow::Result<String> {
    if let Some(known) = find(client, path, name).await? {
        return Ok(known);
    }
    let created: Value = client.post(path, &body).await?;
    text(&created["id"])
}

/// The id of the item of a list that has this name, if there is one.
pub(crate) async fn find(
    client: &Client,
    path: &str,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let known = client.list(path).await?;
    let item = known.iter().find(|item| item["name"] == name);
    item.map(|item| text(&item["id"])).transpose()
}

/// Follows what an earlier process left unfinished: its workers take it up by themselves.
async fn finish_earlier(client: &Client, agent: &str, terminal: Terminal) -> anyhow::Result<()> {
    let executions: Value = client
        .get(&format!("/v1/executions?agent_id={agent}&limit=10"))
        .await?;
    for execution in executions["items"].as_array().into_iter().flatten() {
        if matches!(execution["state"].as_str(), Some("queued" | "running")) {
            let id = text(&execution["id"])?;
            terminal.line(format!("\n  going on with {id}, which was interrupted"));
            client.follow(&id, |event| terminal.event(event)).await?;
        }
    }
    Ok(())
}

async fn outcome(client: &Client, execution: &str) -> anyhow::Result<Value> {
    let ended: Value = client.get(&format!("/v1/executions/{execution}")).await?;
    if ended["state"] != "completed" {
        bail!(
            "the execution ended as {}: {}",
            ended["state"].as_str().unwrap_or("unknown"),
            ended["failure"]["message"]
                .as_str()
                .unwrap_or("no reason was given")
        );
    }
    Ok(json!({
        "answer": ended["answer"],
        "citations": ended["citations"],
        "execution": { "id": ended["id"], "status": ended["state"], "steps": ended["steps"] },
    }))
}
