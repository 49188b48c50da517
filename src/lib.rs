//! overture
