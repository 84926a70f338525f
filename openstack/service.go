package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/utils"
)

// ErrNoEndpoint is what the search for a service ends in that the catalogue does not have.
var ErrNoEndpoint = errors.New("the catalogue has no such endpoint")

// Reach looks a service up in the catalogue, by its type, and has it answer. It returns the endpoint's URL, also when
// nobody answers there.
func (c *Cloud) Reach(ctx context.Context, service string) (string, error) {
	options := c.endpoint
	options.ApplyDefaults(service)
	url, err := c.provider.EndpointLocator(options)
	if err != nil {
		where := fmt.Sprintf("find the %s endpoint of type %s in region %s", options.Availability, service, cmp.Or(options.Region, "any"))
		return "", c.noEndpoint(where, ErrNoEndpoint)
	}
	root, err := utils.BaseVersionedEndpoint(url)
	if err != nil {
		return url, &Error{Op: "read the endpoint " + url, Err: err}
	}
	_, err = c.provider.Request(ctx, http.MethodGet, root, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK, http.StatusMultipleChoices}})
	if err != nil {
		return url, explain("ask "+root, err)
	}
	return url, nil
}
