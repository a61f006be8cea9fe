"""Forms of values: written as types or schemas, checked, and asked of sub-LMs. Values as JSON."""
