"""What needs a person: from findings to alerts, proposals and messages."""
