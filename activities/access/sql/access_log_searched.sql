-- Record a search among the personal facts of all cases that somebody handles: $1 what stands for them.
INSERT INTO personal_look (case_id, caller, role, masked) VALUES ($1, $2, $3, false)
