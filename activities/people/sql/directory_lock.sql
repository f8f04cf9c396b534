-- Those who change the directory take turns; readers do not wait.
SELECT version FROM directory_version FOR UPDATE
