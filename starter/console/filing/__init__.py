"""Filing a case: what is asked for, what is wrong with it, what else there is about it, and drafts of it."""
