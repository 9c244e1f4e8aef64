//! What can be wrong with a node.

/// A single fault of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A ping gets a list under `r`.
    ListForR,
    /// Every reply is sent twice.
    AnswersTwice,
    /// Errors are dictionaries.
    ErrorAsDict,
    /// Keys of replies are out of order.
    UnsortedReplies,
    /// Two bytes of `t` come back.
    TwoByteTransactions,
    /// Errors have a `t` of their own.
    ErrorsWithoutTransaction,
    /// Replies have no `v`.
    NoVersion,
    /// The id has 19 bytes.
    ShortId,
    /// Queries without an id are answered.
    TakesAnyId,
    /// Lists of nodes have a byte too many.
    RaggedNodes,
    /// Unknown methods get error 201.
    UnknownIs201,
    /// Unknown methods get silence.
    SilentOnUnknown,
    /// Missing arguments get error 204.
    BadArgumentsAre204,
    /// Missing arguments get silence.
    SilentOnBadArguments,
    /// No list of nodes is ever given.
    NoNodes,
    /// Up to 20 nodes are given.
    TwentyNodes,
    /// The farthest nodes are given.
    FarthestNodes,
    /// An asker may get its own contact.
    HandsOutAsker,
    /// Who asks is handed out at once.
    HandsOutStrangers,
    /// get_peers gets no token.
    NoToken,
    /// get_peers gets nothing where there are no peers.
    NoNodesForPeers,
    /// Announcements are refused.
    RefusesAnnouncements,
    /// Announcements are accepted, and forgotten.
    ForgetsPeers,
    /// Any token is good.
    TakesAnyToken,
    /// A bad token gets error 201.
    BadTokenIs201,
    /// Tokens are good for one port.
    TokensForOnePort,
    /// `implied_port` is ignored.
    IgnoresImpliedPort,
    /// `port` is ignored.
    AlwaysImpliesPort,
    /// Tokens are good once.
    TokensForOneUse,
    /// Tokens are the same for all addresses.
    TokensForAnyIp,
    /// A token is the XOR of two hashes.
    XorTokens,
    /// Whatever is wanted, both lists come.
    WantMeansBoth,
    /// `want` counts in find_node only.
    WantInFindNodeOnly,
    /// Both lists come unasked.
    AlwaysBoth,
    /// An unknown family gets an error.
    RefusesUnknownWant,
    /// Peers of the other family come along.
    MixedValues,
    /// Where there are peers, no nodes come.
    PeersInsteadOfNodes,
    /// Replies to get_peers are longer than anything may be.
    PadsPeers,
    /// Replies to pings are too.
    PadsPings,
    /// Datagrams over 512 bytes are lost.
    ShortBuffer,
    /// `seed` is ignored.
    NobodySeeds,
    /// Everybody is a seed.
    EverybodySeeds,
    /// Only seeds get a filter.
    OneFilter,
    /// Filters come unasked.
    FiltersUnasked,
    /// `noseed` is ignored.
    IgnoresNoseed,
    /// Filters are over addresses and ports.
    HashesPorts,
    /// Filters are over addresses as text.
    HashesText,
    /// Who becomes a seed stays a downloader.
    SeedsAreBoth,
    /// Every port is a peer, on the public network too.
    PortsArePeers,
    /// The id does not fit the address, on the public network too.
    AnyId,
    /// Nobody is told its address.
    NoIp,
    /// Errors do not tell the address.
    NoIpInErrors,
    /// The port under `ip` is wrong.
    WrongIp,
    /// Ids that do not fit their address meet silence.
    RefusesIds,
    /// Its own queries have `ro`.
    CallsItselfReadOnly,
    /// Queries with `ro` meet silence.
    IgnoresReadOnly,
    /// Who asks with `ro` is handed out.
    KeepsReadOnly,
    /// Who asks with `ro` is pinged.
    PingsReadOnly,
    /// Responses have `ro`.
    ReadOnlyResponses,
    /// It does not speak BEP 44.
    NoItems,
    /// get gets no token where there is a value.
    NoTokenBesideValue,
    /// get gets no nodes where there is a value.
    NoNodesBesideValue,
    /// Puts are refused.
    RefusesPuts,
    /// Values that are no strings are refused.
    StringsOnly,
    /// Values with keys out of order are stored.
    TakesDisorder,
    /// Values with keys out of order get error 205.
    DisorderIs205,
    /// Values that are too big get error 203.
    TooBigIs203,
    /// Values have less than 1,000 bytes.
    BelowThousand,
    /// Immutable items are stored under the hash of a string's content.
    HashesContent,
    /// Mutable items are refused.
    NoMutableItems,
    /// An empty salt is signed too.
    SignsEmptySalt,
    /// A signature may leave the salt out.
    SaltUnsigned,
    /// Signatures are not verified.
    TakesAnySignature,
    /// A wrong signature gets error 203.
    BadSignatureIs203,
    /// Salts have 32 bytes at most.
    ShortSalts,
    /// Salts have any length.
    LongSalts,
    /// What is stored is never replaced.
    Frozen,
    /// Any seq replaces the value.
    AnySeq,
    /// A lower seq gets error 203.
    LowerSeqIs203,
    /// An equal seq replaces the value.
    EqualSeqReplaces,
    /// An equal seq is accepted, and nothing done.
    EqualSeqPassesOver,
    /// The same value with the same seq is refused.
    NoRefresh,
    /// seq has 31 bits.
    SmallSeq,
    /// `cas` is never right.
    CasAlwaysDiffers,
    /// `cas` is ignored.
    IgnoresCas,
    /// `cas` is wrong where nothing is stored.
    CasOnNothing,
    /// The `seq` of a get is ignored.
    IgnoresSeqOfGet,
    /// With a `seq`, a get never gets the value.
    OmitsNewerValues,
    /// The salt comes back.
    ReturnsSalt,
    /// find_node is answered from another port.
    OtherSocket,
    /// `samples` has a byte too many.
    RaggedSamples,
    /// `interval` is over six hours.
    LongInterval,
    /// `num` is 0.
    NumIsNone,
    /// `num` counts the samples.
    NumIsOfSamples,
    /// Samples come without nodes.
    SamplesWithoutNodes,
    /// The target decides the samples.
    SamplesByTarget,
    /// Samples are chosen anew each time.
    FreshSamples,
    /// Samples come twice.
    RepeatedSamples,
    /// Unknown methods get error 204, with a target too.
    UnknownIsUnknown,
    /// Unknown keys meet silence.
    RefusesUnknownKeys,
    /// Keys out of order meet silence.
    RefusesDisorder,
    /// A `v` of another length or type meets silence.
    RefusesOddVersion,
    /// The method is searched for in the datagram.
    ScansBytes,
    /// At most 5 peers are given.
    HandsOutFive,
    /// find_node is answered under another id.
    ManyIds,
    /// What is wanted twice comes twice.
    WantCounts,
    /// What cannot be read gets an error.
    AnswersJunk,
    /// Replies get errors.
    AnswersReplies,
    /// Errors repeat what they are about.
    EchoesTwice,
    /// Nodes at port 0 are given.
    HandsOutPortZero,
    /// It hands out itself.
    HandsOutItself,
}

impl Flaw {
    /// Every flaw, with the checks that have to fail for it.
    pub(crate) const ALL: &[(Flaw, &[&str])] = &[
        (Flaw::ListForR, &["5.1 envelope", "5.6 ping"]),
        (Flaw::AnswersTwice, &["5.1 one-reply"]),
        (Flaw::ErrorAsDict, &["5.1 error-form"]),
        (Flaw::UnsortedReplies, &["5.1 bencode"]),
        (Flaw::TwoByteTransactions, &["5.2 t-length", "5.2 t-extremes"]),
        (Flaw::ErrorsWithoutTransaction, &["5.2 t-in-errors"]),
        (Flaw::NoVersion, &["5.2 version"]),
        (Flaw::ShortId, &["5.3 id", "5.6 ping"]),
        (Flaw::TakesAnyId, &["5.3 asker-id", "5.5 bad-arguments-told"]),
        (Flaw::RaggedNodes, &["5.4 nodes", "32.2 nodes6"]),
        (Flaw::UnknownIs201, &["5.5 unknown-method"]),
        (Flaw::SilentOnUnknown, &["5.5 told"]),
        (Flaw::BadArgumentsAre204, &["5.5 bad-arguments"]),
        (Flaw::SilentOnBadArguments, &["5.5 bad-arguments-told"]),
        (Flaw::NoNodes, &["5.4 nodes", "5.7 nodes"]),
        (Flaw::TwentyNodes, &["5.7 k", "32.2 nodes6"]),
        (Flaw::FarthestNodes, &["5.7 target", "5.11 xor"]),
        (Flaw::HandsOutAsker, &["5.7 asker"]),
        (Flaw::HandsOutStrangers, &["5.12 unverified"]),
        (Flaw::NoToken, &["5.8 token"]),
        (Flaw::NoNodesForPeers, &["5.8 nodes-or-values"]),
        (Flaw::RefusesAnnouncements, &["5.9 accepted"]),
        (Flaw::ForgetsPeers, &["5.9 handed-out"]),
        (
            Flaw::TakesAnyToken,
            &["5.9 bad-token", "5.9 bad-token-code", "5.9 other-ip", "44.9 bad-token", "44.9 other-ip"],
        ),
        (Flaw::BadTokenIs201, &["5.9 bad-token-code"]),
        (Flaw::TokensForOnePort, &["5.9 other-port"]),
        (Flaw::IgnoresImpliedPort, &["5.9 implied-port"]),
        (Flaw::AlwaysImpliesPort, &["5.9 handed-out", "5.9 no-implied-port"]),
        (Flaw::TokensForOneUse, &["5.10 again"]),
        (Flaw::TokensForAnyIp, &["5.9 other-ip", "44.9 other-ip", "T6 differ"]),
        (Flaw::XorTokens, &["T6 linear"]),
        (Flaw::WantMeansBoth, &["32.3 n4", "32.3 n6"]),
        (Flaw::WantInFindNodeOnly, &["32.3 n6", "32.3 both"]),
        (Flaw::AlwaysBoth, &["32.3 absent"]),
        (Flaw::RefusesUnknownWant, &["32.3 unknown"]),
        (Flaw::MixedValues, &["32.4 values"]),
        (Flaw::PeersInsteadOfNodes, &["32.5 nodes-too"]),
        (Flaw::PadsPeers, &["32.6 popular", "32.6 sent", "T9 longest", "T9 long"]),
        (Flaw::PadsPings, &["T9 short"]),
        (Flaw::ShortBuffer, &["32.6 accepted", "32.6 longer"]),
        (Flaw::NobodySeeds, &["33.1 seed", "33.5 moves"]),
        (Flaw::EverybodySeeds, &["33.1 downloader"]),
        (Flaw::OneFilter, &["33.2 both"]),
        (Flaw::FiltersUnasked, &["33.2 unasked"]),
        (Flaw::IgnoresNoseed, &["33.2 noseed"]),
        (Flaw::HashesPorts, &["33.3 bits", "33.3 port"]),
        (Flaw::HashesText, &["33.3 bits"]),
        (Flaw::SeedsAreBoth, &["33.5 moves"]),
        (Flaw::PortsArePeers, &["33.5 one-per-ip"]),
        (Flaw::AnyId, &["42.2 id"]),
        (Flaw::NoIp, &["42.4 responses", "42.4 errors"]),
        (Flaw::NoIpInErrors, &["42.4 errors"]),
        (Flaw::WrongIp, &["42.4 right"]),
        (Flaw::RefusesIds, &["42.5 served"]),
        (Flaw::CallsItselfReadOnly, &["43.1 answers"]),
        (Flaw::IgnoresReadOnly, &["43.2 served"]),
        (Flaw::KeepsReadOnly, &["43.2 not-kept"]),
        (Flaw::PingsReadOnly, &["43.2 not-pinged"]),
        (Flaw::ReadOnlyResponses, &["43.2 responses"]),
        (Flaw::NoItems, &[]),
        (Flaw::NoTokenBesideValue, &["44.1 get"]),
        (Flaw::NoNodesBesideValue, &["44.1 nodes"]),
        (Flaw::RefusesPuts, &["44.1 put"]),
        (Flaw::StringsOnly, &["44.2 types", "46.1 torrent"]),
        (Flaw::TakesDisorder, &["44.2 unsorted", "44.2 unsorted-code"]),
        (Flaw::DisorderIs205, &["44.2 unsorted-code"]),
        (Flaw::TooBigIs203, &["44.2 too-big-code"]),
        (Flaw::BelowThousand, &["44.2 exactly"]),
        (Flaw::HashesContent, &["44.3 immutable"]),
        (Flaw::NoMutableItems, &["44.3 mutable"]),
        (Flaw::SignsEmptySalt, &["44.4 empty-salt"]),
        (Flaw::SaltUnsigned, &["44.4 salt-signed"]),
        (Flaw::TakesAnySignature, &["44.5 signature", "44.5 signature-code"]),
        (Flaw::BadSignatureIs203, &["44.5 signature-code"]),
        (Flaw::ShortSalts, &["44.5 salt"]),
        (Flaw::LongSalts, &["44.5 salt-too-big"]),
        (Flaw::Frozen, &["44.6 higher-seq", "44.7 cas"]),
        (Flaw::AnySeq, &["44.6 lower-seq", "44.6 lower-seq-code", "44.6 equal-seq", "44.6 equal-seq-told"]),
        (Flaw::LowerSeqIs203, &["44.6 lower-seq-code"]),
        (Flaw::EqualSeqReplaces, &["44.6 equal-seq"]),
        (Flaw::EqualSeqPassesOver, &["44.6 equal-seq-told"]),
        (Flaw::NoRefresh, &["44.6 refresh"]),
        (Flaw::SmallSeq, &["44.6 largest-seq"]),
        (Flaw::CasAlwaysDiffers, &["44.7 cas"]),
        (Flaw::IgnoresCas, &["44.7 cas-mismatch"]),
        (Flaw::CasOnNothing, &["44.7 cas-on-nothing"]),
        (Flaw::IgnoresSeqOfGet, &["44.8 omitted"]),
        (Flaw::OmitsNewerValues, &["44.8 newer"]),
        (Flaw::ReturnsSalt, &["44.8 no-salt"]),
        (Flaw::OtherSocket, &["45.1 same-socket"]),
        (Flaw::RaggedSamples, &["51.1 samples"]),
        (Flaw::LongInterval, &["51.1 interval"]),
        (Flaw::NumIsNone, &["51.1 num"]),
        (Flaw::NumIsOfSamples, &["51.1 num"]),
        (Flaw::SamplesWithoutNodes, &["51.1 nodes"]),
        (Flaw::SamplesByTarget, &["51.1 target"]),
        (Flaw::FreshSamples, &["51.2 stable"]),
        (Flaw::RepeatedSamples, &["51.2 distinct"]),
        (Flaw::UnknownIsUnknown, &["C.1 target", "C.1 info-hash"]),
        (Flaw::RefusesUnknownKeys, &["C.2 unknown-keys"]),
        (Flaw::RefusesDisorder, &["C.2 order"]),
        (Flaw::RefusesOddVersion, &["C.2 wrong-types"]),
        (Flaw::ScansBytes, &["C.2 inside-strings"]),
        (Flaw::HandsOutFive, &["C.3 peers"]),
        (Flaw::ManyIds, &["C.5 one-id"]),
        (Flaw::WantCounts, &["T9 want"]),
        (Flaw::AnswersJunk, &["T10 junk", "T11 bombs"]),
        (Flaw::AnswersReplies, &["T10 replies"]),
        (Flaw::EchoesTwice, &["T12 echo"]),
        (Flaw::HandsOutPortZero, &["T13 martians"]),
        (Flaw::HandsOutItself, &["T13 itself"]),
    ];
}
