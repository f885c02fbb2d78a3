"""Static pages made of a published marts.duckdb: pictures, KPI pages, account pages, handbook, data dictionary."""
