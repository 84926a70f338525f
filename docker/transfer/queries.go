package transfer

import "regexp"

// queries matches the queries of addresses in a text, quoted or not.
var queries = regexp.MustCompile(`\?(?:\\.|[^\s"\\])*[^\s"\\:;,.)]`)

// WithoutQueries returns an error whose text has the addresses without their queries, and which wraps err. A query can hold
// the signature of a link to a storage, or an upload's state, with which others could read or write.
func WithoutQueries(err error) error {
	if err == nil {
		return nil
	}
	text := queries.ReplaceAllString(err.Error(), "")
	if text == err.Error() {
		return err
	}
	return &withoutQueries{text, err}
}

type withoutQueries struct {
	text  string
	cause error
}

func (e *withoutQueries) Error() string { return e.text }
func (e *withoutQueries) Unwrap() error { return e.cause }
