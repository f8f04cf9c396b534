SELECT version FROM directory_version
