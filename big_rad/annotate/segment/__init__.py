"""Label maps of canonical volumes: read from masks that exist, or made by TotalSegmentator."""
