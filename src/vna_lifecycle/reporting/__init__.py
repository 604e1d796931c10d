"""The program's own report: facts as values, shown as one offline HTML file, as JSON, and as CSV tables."""
