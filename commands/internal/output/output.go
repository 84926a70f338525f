// Package output renders a command's result on stdout in the formats of openstackclient: table, json, yaml, value
// and csv, with the choice of columns. JSON's keys are the column headers; "value" is for shell scripts.
package output

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Formats are the names that -f takes.
var Formats = []string{"table", "json", "yaml", "value", "csv"}

// Style is how a result is to be shown.
type Style struct {
	Format  string
	Columns []string // all when empty

	// Sentences are columns that a list wraps where it is wider than the terminal. It cuts the others.
	Sentences []string

	object bool // it is one object
}

// A Field is one property of one object.
type Field struct {
	Name  string
	Value any // a string, a number, a bool, a time.Time, a []string or a map[string]string
}

// Show renders one object, a property a line.
func (s Style) Show(w io.Writer, object []Field) error {
	chosen, err := s.choose(Names(object))
	if err != nil {
		return err
	}
	fields := make([]Field, len(chosen))
	for i, at := range chosen {
		fields[i] = object[at]
	}
	s.object = true
	switch s.Format {
	case "json":
		return writeJSON(w, encodableRecord(fields))
	case "yaml":
		return writeYAML(w, encodableRecord(fields))
	case "value":
		for _, field := range fields {
			fmt.Fprintln(w, text(field.Value))
		}
		return nil
	}
	rows := make([][]any, len(fields))
	for i, field := range fields {
		rows[i] = []any{field.Name, field.Value}
	}
	return s.lines(w, []string{"Field", "Value"}, rows)
}

// List renders objects, one a line.
func (s Style) List(w io.Writer, headers []string, rows [][]any) error {
	chosen, err := s.choose(headers)
	if err != nil {
		return err
	}
	headers = pick(headers, chosen)
	for i, row := range rows {
		rows[i] = pick(row, chosen)
	}
	switch s.Format {
	case "json":
		return writeJSON(w, records(headers, rows))
	case "yaml":
		return writeYAML(w, records(headers, rows))
	}
	return s.lines(w, headers, rows)
}

func (s Style) lines(w io.Writer, headers []string, rows [][]any) error {
	switch s.Format {
	case "value":
		return writeValues(w, rows)
	case "csv":
		return writeCSV(w, headers, rows)
	}
	return s.writeTable(w, headers, rows)
}

// UnknownColumn is a column that was asked for and that the result does not have.
type UnknownColumn struct {
	Name  string
	Known []string
}

func (u *UnknownColumn) Error() string {
	return fmt.Sprintf("there is no column %q; there are %s", u.Name, strings.Join(u.Known, ", "))
}

// Check says whether a result with these columns could be shown, before it costs anything.
func (s Style) Check(headers []string) error {
	_, err := s.choose(headers)
	return err
}

// Wants tells whether one of these columns is to be shown.
func (s Style) Wants(headers ...string) bool {
	return len(s.Columns) == 0 || slices.ContainsFunc(s.Columns, func(column string) bool {
		return slices.ContainsFunc(headers, func(h string) bool { return strings.EqualFold(h, column) })
	})
}

// choose returns the indices of the columns to show, in the order in which they were asked for.
func (s Style) choose(headers []string) ([]int, error) {
	var chosen []int
	for _, column := range s.Columns {
		at := slices.IndexFunc(headers, func(h string) bool { return strings.EqualFold(h, column) })
		if at < 0 {
			return nil, &UnknownColumn{column, headers}
		}
		chosen = append(chosen, at)
	}
	if len(chosen) > 0 {
		return chosen, nil
	}
	for at := range headers {
		chosen = append(chosen, at)
	}
	return chosen, nil
}

func pick[T any](row []T, chosen []int) []T {
	picked := make([]T, len(chosen))
	for i, at := range chosen {
		picked[i] = row[at]
	}
	return picked
}

// Names are the columns of an object.
func Names(fields []Field) []string {
	all := make([]string, len(fields))
	for i, field := range fields {
		all[i] = field.Name
	}
	return all
}

// text is a value in a cell: lists joined by commas, maps as key='value'.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case []string:
		return strings.Join(v, ", ")
	case map[string]string:
		pairs := make([]string, 0, len(v))
		for key, item := range v {
			pairs = append(pairs, key+"="+quoted(item))
		}
		slices.Sort(pairs)
		return strings.Join(pairs, ", ")
	case int:
		return strconv.Itoa(v)
	case time.Time:
		return isoTime(v)
	}
	return fmt.Sprint(value)
}

func quoted(s string) string { return "'" + s + "'" }
