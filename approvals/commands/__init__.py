"""What people type to the bot, on any platform: read, done through the service, and answered in rows with buttons."""
