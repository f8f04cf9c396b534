"""What people have under way and have not sent: drafts."""
