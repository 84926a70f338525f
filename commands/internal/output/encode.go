package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"gopkg.in/yaml.v3"
)

// record is an object whose properties keep their order in JSON and YAML.
type record []Field

func records(headers []string, rows [][]any) []record {
	all := make([]record, len(rows))
	for i, row := range rows {
		for j, value := range row {
			all[i] = append(all[i], Field{headers[j], encodable(value)})
		}
	}
	return all
}

func encodableRecord(fields []Field) record {
	all := make(record, len(fields))
	for i, field := range fields {
		all[i] = Field{field.Name, encodable(field.Value)}
	}
	return all
}

// encodable returns what JSON and YAML are to have of a value.
func encodable(value any) any {
	if at, ok := value.(time.Time); ok {
		return isoTime(at)
	}
	return value
}

func (r record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := plain(&b).Encode(field.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := plain(&b).Encode(field.Value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (r record) MarshalYAML() (any, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, field := range r {
		var value yaml.Node
		if err := value.Encode(field.Value); err != nil {
			return nil, err
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: field.Name}, &value)
	}
	return node, nil
}

// plain leaves <, > and & as they are: this is no web page.
func plain(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder
}

func writeJSON(w io.Writer, value any) error {
	encoder := plain(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func writeYAML(w io.Writer, value any) error {
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	return encoder.Close()
}

func writeValues(w io.Writer, rows [][]any) error {
	for _, row := range rows {
		if _, err := fmt.Fprintln(w, strings.Join(cells(row), " ")); err != nil {
			return err
		}
	}
	return nil
}

// writeCSV quotes all but numbers, as openstackclient does.
func writeCSV(w io.Writer, headers []string, rows [][]any) error {
	lines := [][]any{make([]any, len(headers))}
	for i, header := range headers {
		lines[0][i] = header
	}
	for _, row := range append(lines, rows...) {
		line := make([]string, len(row))
		for i, value := range row {
			line[i] = text(value)
			if !number(value) {
				line[i] = `"` + strings.ReplaceAll(line[i], `"`, `""`) + `"`
			}
		}
		if _, err := fmt.Fprintln(w, strings.Join(line, ",")); err != nil {
			return err
		}
	}
	return nil
}

func number(value any) bool {
	switch value.(type) {
	case int, int64, float64:
		return true
	}
	return false
}

// writeTable draws the table of openstackclient, fitted to the terminal if it goes to one.
func (s Style) writeTable(w io.Writer, headers []string, rows [][]any) error {
	screen := screenOf(w)
	if screen.there {
		w = Raw(w) // the cells are visible already, and colours must not become so
	}
	shown := make([][]string, len(rows))
	for i, row := range rows {
		shown[i] = screen.cells(row)
	}
	if !s.object {
		screen.fit(headers, shown, s.Sentences)
	}
	table := tablewriter.NewTable(w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{Symbols: tw.NewSymbols(tw.StyleASCII)})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
	)
	table.Header(headers)
	for _, row := range shown {
		for i := range row {
			row[i] = screen.colour(s.columnOf(headers, row, i), row[i])
		}
		if err := table.Append(row); err != nil {
			return err
		}
	}
	return table.Render()
}

// columnOf returns the name of what a cell is: its header, or in the table of one object what stands before it.
func (s Style) columnOf(headers, row []string, at int) string {
	if s.object && at > 0 {
		return row[0]
	}
	return headers[at]
}

// cells are those of a table, which is for people wherever it goes.
func (s screen) cells(row []any) []string {
	all := cells(row)
	for i, cell := range all {
		if at, ok := row[i].(time.Time); ok {
			cell = s.time(at)
		}
		all[i] = Visible(strings.ReplaceAll(cell, "\r\n", "\n"))
	}
	return all
}

func cells(row []any) []string {
	all := make([]string, len(row))
	for i, value := range row {
		all[i] = text(value)
	}
	return all
}
