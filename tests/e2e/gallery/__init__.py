"""The pictures of docs/reference/cards.md: everything that Slack can be made to show of a request."""
