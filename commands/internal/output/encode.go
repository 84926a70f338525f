package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

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
			all[i] = append(all[i], Field{headers[j], value})
		}
	}
	return all
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

// writeTable draws the table of openstackclient.
func writeTable(w io.Writer, headers []string, rows [][]any) error {
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
	for _, row := range rows {
		if err := table.Append(visibleCells(row)); err != nil {
			return err
		}
	}
	return table.Render()
}

// visibleCells are those of a table, which is for people wherever it goes.
func visibleCells(row []any) []string {
	all := cells(row)
	for i, cell := range all {
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
