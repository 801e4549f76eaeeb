package flags

import "hbar/data"

// DefineTable makes --columns and --header: how a table in a file is read.
func DefineTable(g *Group, columns, header *string) {
	if *header == "" {
		*header = data.HeaderAuto
	}
	g.String(columns, "columns", "NAMES", "of a table in a file, the columns to take, in this order: names of the header, or numbers from 1 and ranges, as in age,income or 2-5; default: all but a column that numbers the rows")
	g.Choice(header, "header", data.HeaderKinds(), "whether the first line of a table names its columns; auto looks")
}
