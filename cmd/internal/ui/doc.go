// Package ui is the surface of the commands: how they start and end, what Ctrl-C does, and how progress looks.
//
// A command is a function that returns an error. [Main] gives it a context that the first Ctrl-C cancels, prints its
// error on one line without a stack trace, and turns it into an exit status: 0 for success, 2 for a usage error, 130
// after an interrupt, 1 otherwise. Nothing below cmd/ writes to a terminal.
package ui
