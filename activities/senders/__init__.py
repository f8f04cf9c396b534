"""Who sent a command or filed a case: what is signed, who may sign for whom, and whether it is right."""
