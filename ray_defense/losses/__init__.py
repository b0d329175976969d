"""Losses as plain functions of tensors: the paper's Eq. (2) to (5), (8) and (9), and SSIM."""
