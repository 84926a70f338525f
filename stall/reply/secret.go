package reply

import "regexp"

// queries are those of addresses in a text, quoted or not.
var queries = regexp.MustCompile(`\?(?:\\.|[^\s"\\])*[^\s"\\:;,.)]`)

// WithoutQueries leaves out of the addresses in an error's text what follows a question mark: a link to a storage is signed
// there, and an upload's state is there, by which others could read, or send. Whatever the error is, it still is.
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
