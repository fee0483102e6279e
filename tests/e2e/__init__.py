"""Real processes: the bot as it is started in production, a real Valkey, the sandbox as Slack, agents that wait."""
