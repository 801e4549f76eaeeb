package dynamics

import "strings"

func contains(s, part string) bool { return strings.Contains(s, part) }

func splitFields(s string) []string { return strings.Fields(s) }
