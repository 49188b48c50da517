//! What happened to requests and transfers, counted by reason.

use crate::counts::counters;

counters! {
    /// What happened, by reason.
    Counts {
        /// Packets that came to the port of requests.
        packets,
        /// Files that were read to the end.
        completed,
        /// Questions for a file's length that were answered.
        size_queries,
        /// Reads of a name that is not served, or whose file is missing.
        unknown_file,
        /// Names that tried to lead elsewhere.
        forbidden_name,
        /// Requests to write.
        write_refused,
        /// Requests that are not as the RFC has them.
        malformed_request,
        /// Packets that are no request, dropped in silence.
        not_a_request,
        /// Requests from an address or port that nothing may be sent to.
        impossible_sender,
        /// Requests beyond the number of transfers.
        too_many_transfers,
        /// Requests beyond the number of transfers of one address.
        too_many_of_client,
        /// A request that was sent again before its answer arrived.
        repeated_request,
        /// Transfers that were given up for a new one, because their client had never answered.
        half_open,
        /// Transfers that a new request of the same port replaced.
        replaced,
        /// Transfers that the client gave up.
        given_up_by_client,
        /// Transfers whose client fell silent.
        silent_client,
        /// Transfers that the stop of the server ended.
        stopped,
        /// Transfers for which no socket was to be had, or whose file could not be read.
        failed,
        /// Packets at a transfer's port from somebody else.
        strangers,
        /// Windows that were sent again.
        retransmissions,
    }
}
