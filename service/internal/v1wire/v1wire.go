// Package v1wire has the words of version 1: the documents, the parameters of
// lists and the error pages that the Images API v1 and the registry share, and
// that a client of the registry reads.
//
// It turns images into documents and back, and parameters into a
// [glance.Query]. Who may see an image, and where images are kept, is the
// business of those who use it: apiv1, registry and registryclient.
package v1wire

// ClaimantHeader is in a request by which a process of ours asks a registry to
// note, with what it writes, that this process works on the image; and in the
// answer of a registry that has done so.
const ClaimantHeader = "X-Glance-Registry-Claimant"
