"""Policy files and published calendar years."""
